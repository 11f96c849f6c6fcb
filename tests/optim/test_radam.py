import torch

from tessera.optim import RAdam
from tests.optim.parity import assert_follows_twin, assert_state_moves_between, decayed_and_not


def test_steps_and_groups_are_torchs():
    assert_follows_twin(
        lambda p: RAdam(decayed_and_not(p, eps=1e-5), lr=0.05),
        lambda p: torch.optim.RAdam(decayed_and_not(p, eps=1e-5), lr=0.05),
    )


def test_state_dict_is_torchs():
    assert_state_moves_between(lambda p: RAdam(p, lr=0.05), lambda p: torch.optim.RAdam(p, lr=0.05))
