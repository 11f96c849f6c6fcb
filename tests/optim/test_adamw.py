import copy

import pytest
import torch

from tessera.optim import Adam, AdamW
from tests.optim.parity import (
    Model,
    assert_follows_twin,
    assert_same,
    assert_state_moves_between,
    decayed_and_not,
    train,
)

SETTINGS = {
    "defaults": {},
    "all numbers": {"lr": 0.03, "betas": (0.8, 0.95), "eps": 1e-4, "weight_decay": 0.3},
    "no decay": {"lr": 0.03, "weight_decay": 0.0},
    "amsgrad": {"lr": 0.03, "betas": (0.5, 0.6), "amsgrad": True},
    "maximize": {"lr": 0.01, "maximize": True, "weight_decay": 0.1},
}


@pytest.mark.parametrize("setting", SETTINGS.values(), ids=SETTINGS)
def test_steps_are_torchs(setting):
    assert_follows_twin(lambda p: AdamW(p, **setting), lambda p: torch.optim.AdamW(p, **setting))


def test_groups_are_torchs():
    assert_follows_twin(
        lambda p: AdamW(decayed_and_not(p, eps=1e-5), lr=0.01),
        lambda p: torch.optim.AdamW(decayed_and_not(p, eps=1e-5), lr=0.01),
    )


@pytest.mark.parametrize("setting", SETTINGS.values(), ids=SETTINGS)
def test_state_dict_is_torchs(setting):
    assert_state_moves_between(lambda p: AdamW(p, **setting), lambda p: torch.optim.AdamW(p, **setting))


def test_stays_decoupled_when_the_state_dict_was_adams():
    model = Model()
    adam = Adam(model, lr=0.01, weight_decay=0.2)
    train(model, adam, range(3))
    twins_model = copy.deepcopy(model)
    ours, twin = AdamW(model), torch.optim.AdamW(twins_model.parameters())
    for optimizer in (ours, twin):
        optimizer.load_state_dict(copy.deepcopy(adam.state_dict()))
    train(model, ours, range(5))
    train(twins_model, twin, range(5))
    assert_same(model, twins_model)
    assert ours.state_dict()["param_groups"][0]["decoupled_weight_decay"] is True


def test_signature_and_defaults_are_torchs():
    ours, twin = AdamW(Model()), torch.optim.AdamW(Model().parameters())
    assert ours.defaults.items() <= twin.defaults.items()
    assert isinstance(ours, Adam)
