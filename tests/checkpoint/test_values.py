from __future__ import annotations

import collections
import json
import random

import numpy as np
import pytest
import torch

from tessera.checkpoint.values import Flattening, tensor_names, unflatten
from tessera.errors import CheckpointError, StateError
from tests.checkpoint.samples import same, value


@pytest.mark.parametrize("seed", range(60))
def test_json_and_tensors_are_the_whole_value(seed):
    made = value(random.Random(seed), depth=5)
    found = Flattening()
    flat = json.loads(json.dumps(found.flatten(made, "x"), allow_nan=False))
    assert same(unflatten(flat, found.tensors), made)
    assert set(tensor_names(flat)) == found.tensors.keys()


def test_names_are_where_a_tensor_stands():
    found = Flattening()
    model = torch.nn.Sequential(torch.nn.Linear(2, 2))
    flat = found.flatten({"model": model, "list": [torch.ones(1), {"a": np.ones(2)}]}, "state")
    assert list(found.tensors) == ["state.model.0.weight", "state.model.0.bias", "state.list.0", "state.list.1.a"]
    assert tensor_names(flat) == list(found.tensors)


def test_one_name_is_never_given_twice():
    found = Flattening()
    made = {1: torch.zeros(1), "1": torch.ones(1), "a": {"b": torch.zeros(2)}, "a.b": torch.ones(2)}
    flat = found.flatten(made, "__metadata__")
    assert len(found.tensors) == 4
    assert same(unflatten(flat, found.tensors), made)
    assert found.flatten(torch.zeros(3), "__metadata__") != {"tensor": "__metadata__"}


def test_what_shares_memory_with_another_layout_is_not_tied():
    found = Flattening()
    memory = torch.arange(6.0)
    views = [memory, memory.view(2, 3), memory[:3], memory[3:], memory.view(torch.int32), memory.detach()]
    flat = found.flatten(views, "x")
    assert len(found.tensors) == 5  # the last is the first
    assert flat[-1] == flat[0]
    number = torch.tensor([1 + 2j])
    pair = found.flatten([number, number.conj(), number.conj().imag, number.imag], "y")
    assert len({entry["tensor"] for entry in pair}) == 4


def test_a_long_history_is_one_piece():
    history = [0.25] * 1000
    flat = Flattening().flatten(history, "x")
    assert flat == history
    assert flat is not history
    for odd in (float("nan"), 2**64, "text", None):
        assert unflatten(Flattening().flatten([*history, odd], "x"), {})[:1000] == history


def test_versions_of_layers_are_kept():
    state = torch.nn.BatchNorm1d(2).state_dict()
    found = Flattening()
    back = unflatten(found.flatten(state, "x"), found.tensors)
    assert back._metadata == state._metadata
    plain = unflatten(Flattening().flatten(collections.OrderedDict(a=1), "x"), {})
    assert not hasattr(plain, "_metadata")


@pytest.mark.parametrize("key", [torch.ones(1), torch.nn.Linear(1, 1), object(), frozenset({1})])
def test_a_key_that_cannot_be_written_is_refused(key):
    with pytest.raises(StateError, match="a key of x"):
        Flattening().flatten({key: 1}, "x")


def test_a_long_name_is_shortened():
    with pytest.raises(StateError) as caught:
        Flattening().flatten(object(), "a" * 500)
    assert len(str(caught.value)) < 600


@pytest.mark.parametrize(
    "flat", [{"exec": "1"}, {"tensor": "nowhere"}, {"a": 1, "b": 2}, {}, {"float": "xy"}, {"dict": 3}, {"pairs": [1]}]
)
def test_json_of_another_kind_is_refused(flat):
    with pytest.raises(CheckpointError, match="cannot be read"):
        unflatten(flat, {})
