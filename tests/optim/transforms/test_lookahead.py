import pytest
import torch
from torch import nn

from tessera.errors import OptimizerError
from tessera.optim import Optimizer, chain, lookahead, sgd


def test_it_is_the_equation():
    param = nn.Parameter(torch.tensor([1.0, -2.0], dtype=torch.float64))
    optimizer = Optimizer([param], chain(sgd(0.1, momentum=0.5), lookahead(3, 0.4)))
    fast = slow = param.detach().clone()
    buffer = torch.zeros_like(fast)
    for step in range(1, 11):
        optimizer.step(param.square().sum())
        buffer = 0.5 * buffer + 2 * fast
        fast = fast - 0.1 * buffer
        if step % 3 == 0:
            fast = slow = slow + 0.4 * (fast - slow)
        torch.testing.assert_close(param.detach(), fast, rtol=1e-14, atol=0)
        with optimizer.averaged_weights():
            torch.testing.assert_close(param.detach(), slow, rtol=1e-14, atol=0)
        torch.testing.assert_close(param.detach(), fast, rtol=1e-14, atol=0)


def test_it_meets_after_more_updates_than_a_float32_can_count():
    tx, param = lookahead(5, 0.5), torch.zeros(())
    states = [{**tx.init(param), "step": torch.tensor(2.0**24 + 1, dtype=torch.float64)}]  # of which 5 leaves 2
    assert tx.init(param)["step"].dtype == torch.float64
    updates = []
    for _ in range(6):
        (update,), states = tx.update([torch.ones(())], states, [param])
        updates.append(update.item())
    assert updates == [1.0, 1.0, 0.5, 1.0, 1.0, 1.0]


@pytest.mark.parametrize("arguments", [(0, 0.5), (5, 0.0), (5, -1.0)])
def test_bad_numbers_are_refused(arguments):
    with pytest.raises(OptimizerError):
        lookahead(*arguments)
