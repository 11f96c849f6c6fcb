import pytest
import torch
from torch import nn

from tessera.errors import OptimizerError
from tessera.optim import Optimizer, adam, chain, ema_weights, sgd
from tests.optim.parity import Model


def test_it_is_torchs_averaged_model():
    model = Model()
    optimizer = Optimizer(model, chain(adam(0.05), ema_weights(0.8)))
    averaged = torch.optim.swa_utils.AveragedModel(model, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.8))
    averaged.update_parameters(model)  # the first call takes the weights over as they are
    for step in range(0, 20, 2):
        optimizer.step(model.loss(step))
        averaged.update_parameters(model)
    trained = {name: param.detach().clone() for name, param in model.named_parameters()}
    with optimizer.averaged_weights():
        for mine, theirs in zip(model.parameters(), averaged.module.parameters(), strict=True):
            torch.testing.assert_close(mine, theirs, rtol=1e-12, atol=1e-12)
    assert all(torch.equal(param, trained[name]) for name, param in model.named_parameters())


def test_the_trained_weights_are_back_after_an_error():
    param = nn.Parameter(torch.ones(2))
    optimizer = Optimizer([param], chain(adam(0.5), ema_weights(0.5)))
    optimizer.step(param.sum())
    trained = param.detach().clone()

    def fail():
        with optimizer.averaged_weights():
            assert not torch.equal(param, trained)
            raise RuntimeError("inside")

    with pytest.raises(RuntimeError, match="^inside$"):
        fail()
    assert torch.equal(param, trained)


def test_a_parameter_never_updated_is_its_own_average():
    model = Model()
    optimizer = Optimizer(model, chain(adam(0.5), ema_weights(0.5)))
    optimizer.step(model.loss(0))
    with optimizer.averaged_weights():
        assert torch.equal(model.unused, Model().unused)


@pytest.mark.parametrize("decay", [1.0, -0.1, "0.9"])
def test_bad_numbers_are_refused(decay):
    with pytest.raises(OptimizerError, match="^decay="):
        ema_weights(decay)


def test_the_average_of_bfloat16_weights_moves():
    param = nn.Parameter(torch.ones(4, dtype=torch.bfloat16))
    optimizer = Optimizer([param], chain(sgd(0.25), ema_weights(0.999)))
    for _ in range(4):
        optimizer.step(param.sum())
    expected = 1.0
    for value in (0.75, 0.5, 0.25, 0.0):
        expected += 0.001 * (value - expected)
    torch.testing.assert_close(optimizer.state[param]["ema"], torch.full((4,), expected))
