from __future__ import annotations

import copy
from collections import OrderedDict

import pytest
import torch
from torch.nn import Linear, ModuleDict, ModuleList, ReLU

from tessera.errors import LayerError
from tessera.nn import Sequential

LAYERS = [Linear(4, 3), ReLU(), Linear(3, 2)]
NAMED = {"first": LAYERS[0], "act": LAYERS[1], "last": LAYERS[2]}


@pytest.mark.parametrize(
    ("ours", "torchs"),
    [
        (lambda: Sequential(LAYERS), lambda: torch.nn.Sequential(*LAYERS)),
        (lambda: Sequential(tuple(LAYERS)), lambda: torch.nn.Sequential(*LAYERS)),
        (lambda: Sequential(layer for layer in LAYERS), lambda: torch.nn.Sequential(*LAYERS)),
        (lambda: Sequential(ModuleList(LAYERS)), lambda: torch.nn.Sequential(*LAYERS)),
        (lambda: Sequential(*LAYERS), lambda: torch.nn.Sequential(*LAYERS)),
        (lambda: Sequential(LAYERS[0]), lambda: torch.nn.Sequential(LAYERS[0])),
        (lambda: Sequential(NAMED), lambda: torch.nn.Sequential(OrderedDict(NAMED))),
        (lambda: Sequential(OrderedDict(NAMED)), lambda: torch.nn.Sequential(OrderedDict(NAMED))),
        (lambda: Sequential(ModuleDict(NAMED)), lambda: torch.nn.Sequential(OrderedDict(NAMED))),
        (
            lambda: Sequential(torch.nn.Sequential(*LAYERS)),
            lambda: torch.nn.Sequential(torch.nn.Sequential(*LAYERS)),
        ),
        (Sequential, torch.nn.Sequential),
        (lambda: Sequential([]), torch.nn.Sequential),
    ],
)
def test_it_is_torchs_sequential(ours, torchs):
    ours, torchs = ours(), torchs()
    assert isinstance(ours, torch.nn.Sequential)
    assert list(ours.state_dict()) == list(torchs.state_dict())
    x = torch.randn(5, 4)
    assert torch.equal(ours(x), torchs(x))


def test_slices_and_copies_are_sequentials():
    whole = Sequential(LAYERS)
    assert type(whole[:2]) is Sequential
    assert list(whole[1:].state_dict()) == list(torch.nn.Sequential(*LAYERS)[1:].state_dict())
    assert list(copy.deepcopy(whole).state_dict()) == list(whole.state_dict())


@pytest.mark.parametrize(
    ("layers", "given"),
    [
        ([torch.relu], "'0' of a Sequential is a builtin_function_or_method"),
        ([LAYERS[0], ReLU], "'1' of a Sequential is the class ReLU itself"),
        ([LAYERS[0], [ReLU()]], "'1' of a Sequential is a list"),
        (None, "'0' of a Sequential is a NoneType"),
    ],
)
def test_what_is_no_module_is_refused(layers, given):
    with pytest.raises(LayerError) as caught:
        Sequential(layers)
    assert str(caught.value) == (
        f"Layer {given}. "
        "A Sequential takes modules: as arguments, as one list, or as one dict from names to modules. "
        "Write Sequential([Linear(8, 4), ReLU()]), a module such as ReLU() in place of a function."
    )
