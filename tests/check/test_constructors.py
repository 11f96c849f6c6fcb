from __future__ import annotations

import inspect
import sys

import pytest
import torch
from torch import nn

from tessera.check.constructors import constructor_line, running_module


class Block(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.up: nn.Module = nn.Linear(width, 8)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.head = nn.Linear(4, 2)
        self.body = nn.Sequential(
            nn.ReLU(),
            nn.Linear(3, 3),
        )
        self.blocks = nn.ModuleList([Block(width) for width in (3, 4)])
        self.named = nn.ModuleDict(
            {
                "first": nn.Tanh(),
                "second": nn.Sigmoid(),
            }
        )
        self.add_module("hidden", nn.Linear(2, 2))
        self.seen = None

    def forward(self):
        self.seen = running_module(sys._getframe())


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("head", "self.head = nn.Linear(4, 2)"),
        ("body.1", "nn.Linear(3, 3),"),
        ("blocks.1", "self.blocks = nn.ModuleList([Block(width) for width in (3, 4)])"),
        ("blocks.1.up", "self.up: nn.Module = nn.Linear(width, 8)"),
        ("named.second", '"second": nn.Sigmoid(),'),
    ],
)
def test_the_line_that_made_a_layer(path, code):
    found = constructor_line(Net(), path)
    assert found.code == code
    assert found.file == inspect.getsourcefile(Net)


def test_what_is_registered_under_a_name():
    class Registered(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("table", torch.zeros(3))

    assert constructor_line(Registered(), "table").code == 'self.register_buffer("table", torch.zeros(3))'
    assert constructor_line(Registered(), "other") is None
    assert constructor_line(Net(), "hidden").code == 'self.add_module("hidden", nn.Linear(2, 2))'


def test_there_is_none_for_torchs_own_and_for_what_is_not_there():
    assert constructor_line(nn.TransformerEncoderLayer(4, 2), "self_attn") is None
    assert constructor_line(Net(), "absent") is None
    assert constructor_line(Net(), "") is None


def test_the_module_that_runs():
    net = Net()
    net()
    assert net.seen is net
    assert running_module(None) is None


def test_what_a_loop_appends_is_made_where_it_is_appended():
    class Grown(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = nn.ModuleList()
            for size in (3, 4):
                self.layers.append(nn.Linear(size, size))

    assert constructor_line(Grown(), "layers.1").code == "self.layers.append(nn.Linear(size, size))"
