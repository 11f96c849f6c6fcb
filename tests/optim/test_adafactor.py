import torch

from tessera.optim import Adafactor
from tests.optim.parity import assert_follows_twin, assert_state_moves_between, decayed_and_not


def test_steps_and_groups_are_torchs():
    assert_follows_twin(
        lambda p: Adafactor(decayed_and_not(p, d=2.0), lr=0.05),
        lambda p: torch.optim.Adafactor(decayed_and_not(p, d=2.0), lr=0.05),
    )


def test_state_dict_is_torchs():
    assert_state_moves_between(lambda p: Adafactor(p, lr=0.05), lambda p: torch.optim.Adafactor(p, lr=0.05))
