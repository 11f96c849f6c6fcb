import torch

from tessera.optim import Adadelta
from tests.optim.parity import assert_follows_twin, assert_state_moves_between, decayed_and_not


def test_steps_and_groups_are_torchs():
    assert_follows_twin(
        lambda p: Adadelta(decayed_and_not(p, eps=1e-5), lr=0.05),
        lambda p: torch.optim.Adadelta(decayed_and_not(p, eps=1e-5), lr=0.05),
    )


def test_state_dict_is_torchs():
    assert_state_moves_between(lambda p: Adadelta(p, lr=0.05), lambda p: torch.optim.Adadelta(p, lr=0.05))
