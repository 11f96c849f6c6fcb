import copy

import pytest
import torch

from tessera.errors import OptimizerError
from tessera.optim import SGD
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
    "decay": {"lr": 0.05, "weight_decay": 0.1},
    "momentum": {"lr": 0.01, "momentum": 0.9},
    "nesterov": {"lr": 0.01, "momentum": 0.9, "nesterov": True, "weight_decay": 0.01},
    "dampening": {"lr": 0.01, "momentum": 0.9, "dampening": 0.4, "weight_decay": 0.01},
    "maximize": {"lr": 0.001, "momentum": 0.5, "maximize": True, "weight_decay": 0.1},
}


@pytest.mark.parametrize("setting", SETTINGS.values(), ids=SETTINGS)
def test_steps_are_torchs(setting):
    assert_follows_twin(lambda p: SGD(p, **setting), lambda p: torch.optim.SGD(p, **setting))


def test_groups_are_torchs():
    assert_follows_twin(
        lambda p: SGD(decayed_and_not(p, lr=0.003), lr=0.01, momentum=0.9),
        lambda p: torch.optim.SGD(decayed_and_not(p, lr=0.003), lr=0.01, momentum=0.9),
    )


@pytest.mark.parametrize("setting", SETTINGS.values(), ids=SETTINGS)
def test_state_dict_is_torchs(setting):
    assert_state_moves_between(lambda p: SGD(p, **setting), lambda p: torch.optim.SGD(p, **setting))


def test_plain_sgd_keeps_no_state():
    model = Model()
    optimizer = SGD(model, lr=0.1)
    train(model, optimizer, range(2))
    assert optimizer.state_dict()["state"] == {}


def test_momentum_and_dampening_switched_on_later_are_torchs():
    model = Model()
    twins_model = copy.deepcopy(model)
    ours, twin = SGD(model, lr=0.01), torch.optim.SGD(twins_model.parameters(), lr=0.01)
    for change in ({}, {"momentum": 0.9}, {"dampening": 0.5}):
        for optimizer in (ours, twin):
            optimizer.param_groups[0].update(change)
        train(model, ours, range(4))
        train(twins_model, twin, range(4))
        assert_same(model, twins_model)


def test_signature_and_defaults_are_torchs():
    ours, twin = SGD(Model()), torch.optim.SGD(Model().parameters())
    assert ours.defaults.items() <= twin.defaults.items()


def test_nesterov_without_momentum_is_refused():
    with pytest.raises(OptimizerError) as caught:
        SGD(Model(), nesterov=True)
    assert str(caught.value) == (
        "nesterov=True was passed with momentum=0.0 and dampening=0.0. "
        "Nesterov's step needs a momentum above 0 and no dampening. "
        "Write for example momentum=0.9, dampening=0, nesterov=True."
    )
