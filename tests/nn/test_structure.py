"""What the first call makes, and what later calls are held against."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch

import tessera
from tessera.errors import LayerError
from tessera.nn.structure import FirstCall, Kept, LaterCall, Structure


def linear(size):
    return lambda: torch.nn.Linear(size, size)


def owner():
    return torch.nn.Module()


def test_layers_get_names_in_their_order():
    call = FirstCall(owner(), {}, None)
    layers = [call.layer(kind, None, (2,), linear(2)) for kind in ("linear", "TransformerBlock", "linear")]
    assert list(call.modules) == ["linear", "transformer_block", "linear_1"]
    assert list(call.modules.values()) == layers
    assert [kept.name for kept in call.structure] == list(call.modules)
    assert all("test_structure.py" in kept.line for kept in call.structure)


@pytest.mark.parametrize("name", ["", "a.b", "forward", "training", "twice"])
def test_a_name_that_cannot_be_one_is_refused(name):
    call = FirstCall(owner(), {}, None)
    call.layer("linear", "twice", (2,), linear(2))
    with pytest.raises(LayerError, match="stands for one layer"):
        call.layer("linear", name, (2,), linear(2))


def test_loaded_weights_go_to_their_layer():
    twin = torch.nn.Linear(2, 2)
    state = {f"head.{name}": value for name, value in twin.state_dict().items()}
    call = FirstCall(owner(), state, None)
    with pytest.raises(LayerError, match="made no layer for it"):
        call.check_finished()
    assert torch.equal(call.layer("linear", "head", (2,), linear(2)).weight, twin.weight)
    call.check_finished()


@pytest.mark.parametrize("training", [True, False])
def test_a_layer_is_in_the_mode_of_its_function(training):
    function = owner().train(training)
    assert FirstCall(function, {}, torch.float64).layer("linear", None, (), linear(2)).training is training


def test_later_calls_find_the_layers():
    function = owner()
    function.outer = torch.nn.Sequential(torch.nn.Linear(2, 2))
    call = LaterCall(function, (Kept("outer", "Sequential", (2,), ""), Kept("outer.0", "Linear", (2, 2), "")))
    assert call.layer("Sequential", None, (2,), linear(2)) is function.outer
    with pytest.raises(LayerError, match=r"asks for 1 layers; it has 'outer.0', Linear\(2, 2\)"):
        call.check_finished()
    assert call.layer("Linear", None, (2, 2), linear(2)) is function.outer[0]
    call.check_finished()
    with pytest.raises(LayerError, match="asks for one more, Linear; it had 2 in all"):
        call.layer("Linear", None, (2, 2), linear(2))


def test_a_structure_is_its_own_copy_and_leaves_lines_behind():
    structure = Structure((Kept("linear", "linear", (2, 3, True), "model.py:12"),))
    assert copy.deepcopy(structure) is structure
    assert pickle.loads(pickle.dumps(structure)).layers == (Kept("linear", "linear", (2, 3, True), ""),)


def test_a_layer_passed_on_to_another_is_one_layer_of_both():
    @tessera.function
    def net(x):
        inner = torch.nn.Linear(3, 3)
        return torch.nn.Sequential(inner, torch.nn.Tanh())(x)

    x = torch.randn(2, 3)
    first = net(x)
    assert torch.equal(net(x), first)
    assert net.linear is net.sequential[0]
