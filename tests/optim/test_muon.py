import pytest
import torch
from torch import nn

from tessera.errors import OptimizerError
from tessera.optim import Muon
from tests.optim.parity import assert_follows_twin, assert_state_moves_between


def matrices(make):
    return lambda params: make([param for param in params if param.ndim == 2])


def test_steps_are_torchs():
    assert_follows_twin(matrices(lambda p: Muon(p, lr=0.02)), matrices(lambda p: torch.optim.Muon(p, lr=0.02)))


def test_state_dict_is_torchs():
    assert_state_moves_between(matrices(lambda p: Muon(p, lr=0.02)), matrices(lambda p: torch.optim.Muon(p, lr=0.02)))


@pytest.mark.parametrize("params", [lambda: nn.Linear(2, 2), lambda: nn.Conv2d(1, 1, 2, bias=False).named_parameters()])
def test_what_is_no_matrix_is_refused_at_once(params):
    with pytest.raises(OptimizerError) as caught:
        Muon(params())
    assert str(caught.value).endswith(
        "Muon trains real matrices: the weights of hidden linear layers. "
        "Write partition([(lambda p: p.ndim == 2, muon(2e-2)), (lambda p: True, adamw(3e-4))]) for the others."
    )


def test_names_may_come_with_the_parameters():
    optimizer = Muon(nn.Linear(2, 2, bias=False).named_parameters())
    assert optimizer.param_groups[0]["param_names"] == ["weight"]
