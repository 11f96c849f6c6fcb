import pytest
import torch

from tessera.errors import OptimizerError
from tessera.optim import add_decayed_weights


def test_it_adds_a_fraction_of_the_parameter():
    grad, param = torch.randn(4), torch.randn(4)
    (update,), (state,) = add_decayed_weights(0.25).update([grad], [{}], [param])
    assert torch.equal(update, grad + 0.25 * param)
    assert state == {}


def test_zero_leaves_even_an_infinite_parameter_out():
    grad, param = torch.ones(1), torch.full((1,), float("inf"))
    (update,), _ = add_decayed_weights(0.0).update([grad], [{}], [param])
    assert torch.equal(update, grad)


def test_a_negative_decay_is_refused():
    with pytest.raises(OptimizerError, match=r"weight_decay=-0\.1 was passed"):
        add_decayed_weights(-0.1)
