import pytest
import torch

from tessera.optim import Adam
from tests.optim.parity import Model, assert_follows_twin, assert_state_moves_between, decayed_and_not

SETTINGS = {
    "defaults": {},
    "all numbers": {"lr": 0.03, "betas": (0.8, 0.95), "eps": 1e-4, "weight_decay": 0.1},
    "no memory": {"lr": 0.01, "betas": (0.0, 0.0)},
    "amsgrad": {"lr": 0.03, "betas": (0.5, 0.6), "amsgrad": True, "weight_decay": 0.01},
    "maximize": {"lr": 0.01, "maximize": True, "weight_decay": 0.1},
    "decoupled": {"lr": 0.03, "weight_decay": 0.1, "decoupled_weight_decay": True},
}


@pytest.mark.parametrize("setting", SETTINGS.values(), ids=SETTINGS)
def test_steps_are_torchs(setting):
    assert_follows_twin(lambda p: Adam(p, **setting), lambda p: torch.optim.Adam(p, **setting))


def test_groups_are_torchs():
    assert_follows_twin(
        lambda p: Adam(decayed_and_not(p, betas=(0.7, 0.9)), lr=0.01),
        lambda p: torch.optim.Adam(decayed_and_not(p, betas=(0.7, 0.9)), lr=0.01),
    )


@pytest.mark.parametrize("setting", SETTINGS.values(), ids=SETTINGS)
def test_state_dict_is_torchs(setting):
    assert_state_moves_between(lambda p: Adam(p, **setting), lambda p: torch.optim.Adam(p, **setting))


def test_signature_and_defaults_are_torchs():
    ours, twin = Adam(Model()), torch.optim.Adam(Model().parameters())
    assert ours.defaults.items() <= twin.defaults.items()
