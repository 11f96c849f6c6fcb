import pytest
import torch

from tessera.errors import OptimizerError
from tessera.optim import scale_by_adagrad


def test_it_is_the_equation():
    param = torch.zeros(4, dtype=torch.float64)
    tx = scale_by_adagrad(0.1, 0.3, 1e-3)
    states = [tx.init(param)]
    total = torch.full_like(param, 0.3)
    for t, grad in enumerate(torch.randn(8, 4, dtype=torch.float64), start=1):
        (update,), states = tx.update([grad], states, [param])
        total = total + grad**2
        torch.testing.assert_close(update, grad / (total.sqrt() + 1e-3) / (1 + (t - 1) * 0.1), rtol=1e-13, atol=0)
    assert states[0]["step"].item() == 8


def test_a_complex_sum_begins_in_both_parts():
    state = scale_by_adagrad(initial_accumulator_value=0.5).init(torch.zeros(2, dtype=torch.complex64))
    assert torch.equal(state["sum"], torch.full((2,), 0.5 + 0.5j))


@pytest.mark.parametrize("name", ["lr_decay", "initial_accumulator_value", "eps"])
def test_bad_numbers_are_refused(name):
    with pytest.raises(OptimizerError, match=f"^{name}=-1 was passed"):
        scale_by_adagrad(**{name: -1})
