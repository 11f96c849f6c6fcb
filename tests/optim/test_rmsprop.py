import pytest
import torch

from tessera.optim import RMSProp, RMSprop
from tests.optim.parity import Model, assert_follows_twin, assert_state_moves_between, decayed_and_not

SETTINGS = {
    "defaults": {},
    "all numbers": {"lr": 0.003, "alpha": 0.8, "eps": 1e-4, "weight_decay": 0.1},
    "momentum": {"lr": 0.003, "momentum": 0.9},
    "centered": {"lr": 0.003, "centered": True},
    "centered momentum": {"lr": 0.003, "centered": True, "momentum": 0.5, "weight_decay": 0.01},
    "maximize": {"lr": 0.003, "maximize": True, "weight_decay": 0.1},
}


@pytest.mark.parametrize("setting", SETTINGS.values(), ids=SETTINGS)
def test_steps_are_torchs(setting):
    assert_follows_twin(lambda p: RMSProp(p, **setting), lambda p: torch.optim.RMSprop(p, **setting))


def test_groups_are_torchs():
    assert_follows_twin(
        lambda p: RMSProp(decayed_and_not(p, momentum=0.3), lr=0.01),
        lambda p: torch.optim.RMSprop(decayed_and_not(p, momentum=0.3), lr=0.01),
    )


@pytest.mark.parametrize("setting", SETTINGS.values(), ids=SETTINGS)
def test_state_dict_is_torchs(setting):
    assert_state_moves_between(lambda p: RMSProp(p, **setting), lambda p: torch.optim.RMSprop(p, **setting))


def test_signature_and_defaults_are_torchs():
    ours, twin = RMSprop(Model()), torch.optim.RMSprop(Model().parameters())
    assert ours.defaults.items() <= twin.defaults.items()
    assert RMSprop is RMSProp
