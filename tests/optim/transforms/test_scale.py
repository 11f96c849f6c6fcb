import pytest
import torch

from tessera.errors import OptimizerError
from tessera.optim import scale


@pytest.mark.parametrize("factor", [1, -1, 0, 0.5, torch.tensor(2.0)])
def test_it_multiplies(factor):
    grad = torch.randn(3)
    (update,), (state,) = scale(factor).update([grad], [{}], [grad])
    assert torch.equal(update, grad * factor)
    assert state == {}


def test_a_factor_that_is_not_finite_is_refused():
    with pytest.raises(OptimizerError) as caught:
        scale(float("inf"))
    assert str(caught.value) == (
        "factor=inf was passed. factor is a finite number, or a 0-d tensor. Write for example factor=0.5."
    )
