import copy

import pytest
import torch
from torch import nn

from tessera.errors import OptimizerError
from tessera.optim import SGD, Adam, cosine_decay
from tessera.optim.saved_state import refill
from tests.optim.parity import Model, assert_same, train


def trained(kind=Adam, **setting):
    model = Model()
    optimizer = kind(model.parameters(), **setting)
    train(model, optimizer, range(3))
    return model, optimizer


def test_counts_survive_in_a_low_precision_model():
    param = nn.Parameter(torch.ones(2, dtype=torch.bfloat16))
    optimizer = Adam([param], lr=cosine_decay(0.1, decay_steps=1000))
    optimizer.initialise_state([param])
    for name in ("step", "step_1"):
        optimizer.state[param][name].fill_(301)  # not a bfloat16
    resumed = Adam([param])
    resumed.load_state_dict(optimizer.state_dict())
    assert {name: (value.item(), value.dtype) for name, value in resumed.state[param].items() if value.ndim == 0} == {
        "step": (301, torch.float32),
        "step_1": (301, torch.float64),
    }


def test_loading_copies():
    model, optimizer = trained()
    twin = Adam(model.parameters())
    twin.load_state_dict(optimizer.state_dict())
    before = twin.state[model.weight]["exp_avg"].clone()
    optimizer.state[model.weight]["exp_avg"].zero_()
    assert torch.equal(twin.state[model.weight]["exp_avg"], before)


def test_a_state_dict_from_before_the_first_step_starts_anew():
    model, optimizer = trained(lr=0.01)
    fresh = Adam(model.parameters(), lr=0.01)
    optimizer.load_state_dict(fresh.state_dict())
    twins_model = copy.deepcopy(model)
    train(model, optimizer, range(3))
    train(twins_model, Adam(twins_model, lr=0.01), range(3))
    assert_same(model, twins_model)


def test_old_checkpoints_load():
    """Before torch 1.12 `step` was an int; torch's SGD without momentum once saved a buffer that was None."""
    model, optimizer = trained()
    saved = copy.deepcopy(optimizer.state_dict())
    for state in saved["state"].values():
        state["step"] = int(state["step"])
    for group in saved["param_groups"]:
        del group["maximize"], group["decoupled_weight_decay"]
    twins_model = copy.deepcopy(model)
    resumed = Adam(twins_model)
    resumed.load_state_dict(saved)
    train(model, optimizer, range(3, 6))
    train(twins_model, resumed, range(3, 6))
    assert_same(twins_model, model)

    plain = SGD(model, lr=0.1)
    saved = plain.state_dict()
    plain.load_state_dict({**saved, "state": {0: {"momentum_buffer": None}}})
    train(model, plain, range(2))
    assert not plain.state


def test_a_users_hook_sees_and_changes_the_state_dict_first():
    model, optimizer = trained()
    saved = optimizer.state_dict()

    def rename(_, loaded):
        return {"state": loaded["states"], "param_groups": loaded["param_groups"]}

    resumed = Adam(model.parameters())
    resumed.register_load_state_dict_pre_hook(rename)
    resumed.load_state_dict({"states": saved["state"], "param_groups": saved["param_groups"]})
    assert torch.equal(resumed.state[model.weight]["exp_avg"], optimizer.state[model.weight]["exp_avg"])


def assert_refused_and_unchanged(optimizer, saved, message):
    before = copy.deepcopy(optimizer.state_dict())
    with pytest.raises(OptimizerError) as caught:
        optimizer.load_state_dict(saved)
    assert str(caught.value) == message
    after = optimizer.state_dict()
    assert after["param_groups"] == before["param_groups"]
    for index, state in before["state"].items():
        for name, value in state.items():
            assert torch.equal(after["state"][index][name], value)


def test_a_models_state_dict_is_refused():
    _, optimizer = trained()
    assert_refused_and_unchanged(
        optimizer,
        nn.Linear(2, 1).state_dict(),
        "load_state_dict was given a dict with the keys 'weight', 'bias'. "
        "The state_dict of an optimizer has the keys 'state' and 'param_groups'. "
        "Pass what optimizer.state_dict() returned; a model's goes to model.load_state_dict.",
    )


def test_other_groups_are_refused():
    model, optimizer = trained()
    assert_refused_and_unchanged(
        optimizer,
        Adam([{"params": [model.weight]}, {"params": [model.bias]}]).state_dict(),
        "The state_dict has groups of [1, 1] parameters. This optimizer has groups of [5] parameters. "
        "Make the optimizer with the same parameters in the same groups as the one that was saved.",
    )


def test_other_shapes_are_refused():
    _, optimizer = trained()
    saved = copy.deepcopy(optimizer.state_dict())
    saved["state"][1]["exp_avg_sq"] = torch.zeros(3)
    assert_refused_and_unchanged(
        optimizer,
        saved,
        "The state_dict has 'exp_avg_sq' of shape [3] for the parameter at position 1, whose shape is [4]. "
        "'exp_avg_sq' has the shape [4] there. "
        "Make the optimizer with the same parameters in the same order as the one that was saved.",
    )


def test_invalid_hyper_parameters_are_refused():
    _, optimizer = trained()
    saved = copy.deepcopy(optimizer.state_dict())
    saved["param_groups"][0]["lr"] = -1.0
    assert_refused_and_unchanged(
        optimizer,
        saved,
        "lr=-1.0 was passed. lr is a finite number of at least 0, or a 0-d tensor. Write for example lr=0.001.",
    )


def test_a_dict_is_refilled_in_its_own_order():
    table = {"lr": 1, "gone": 2, "betas": 3}
    refill(table, {"betas": 4, "new": 5, "lr": 6})
    assert list(table.items()) == [("lr", 6), ("betas", 4), ("new", 5)]


def test_loading_a_second_time_changes_nothing():
    _, optimizer = trained()
    groups = [list(group) for group in optimizer.param_groups]
    state = copy.deepcopy(optimizer.state_dict())
    for _ in range(2):
        optimizer.load_state_dict(state)
        assert [list(group) for group in optimizer.param_groups] == groups
