from __future__ import annotations

import ast

import torch
from torch import nn

from tessera.check.text_edits import text_edits
from tests.check.edited import after, edits


def test_the_last_of_what_is_only_given_another_name():
    found = edits("def f(state):\n    last = state\n    return g(last)", {"state": torch.zeros(2, 3)})
    assert "state[-1] in place of state" in found


def test_numbers_of_a_class_stand_for_each_other():
    class Owner(nn.Module):
        wide, deep = 3, 4

    assert "self.deep in place of self.wide" in edits("def f(self):\n    return g(self.wide)", {"self": Owner()})


def test_attributes_of_the_same_kind_stand_for_each_other():
    class Owner(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.wide, self.deep, self.key, self.value = 3, 4, nn.Linear(2, 2), nn.Linear(2, 3)

    found = edits("def f(self):\n    return self.key(g(self.wide))", {"self": Owner()})
    assert {"self.deep in place of self.wide", "self.value in place of self.key"} <= set(found)


def test_an_end_is_cut_off_where_that_may_be():
    text, names = "def f(x):\n    return g(x)", {"x": torch.zeros(3, 4)}
    assert "x[:-1] in place of x" in edits(text, names, sliced=True)
    assert "x[:-1] in place of x" not in edits(text, names)


def test_what_is_returned_is_laid_out_otherwise():
    names = {"x": torch.zeros(3, 4)}
    once = edits("def f():\n    x = g()\n    return x", names)["x.transpose(-2, -1) in place of x"]
    twice = edits("def f():\n    x = g()\n    h(x)\n    return x", names)["x.transpose(-2, -1) in place of x"]
    assert once.line == 3
    assert once.cost < twice.cost


def test_a_transposition_is_left_out():
    assert "x in place of x.T" in edits("def f(x):\n    return g(x.T)", {"x": torch.zeros(2, 3)})


def test_a_mere_other_name_hints_at_what_was_left_out():
    text = "def f(x):\n    y = x\n    z = y + x\n    return z"
    found = edits(text, {"x": torch.ones(3, 4), "y": torch.ones(3, 4)}, sliced=True)
    assert found["x.transpose(-2, -1) in place of x"].line == 2
    (function,) = ast.parse(text).body
    slices = [e for e in text_edits(function, {"x": torch.ones(3, 4)}, [], sliced=True) if e.text.startswith("x[1:]")]
    assert {edit.line: edit.cost for edit in slices}[2] < {edit.line: edit.cost for edit in slices}[3]


def test_what_is_returned_gets_the_declared_shape():
    text = "def f(x):\n    return x + 1"
    ways = [(".reshape(B, 7)", ".reshape(3, 7)"), ("[:, :B]", "[:, :3]")]
    assert after(text, "(x + 1).reshape(B, 7)", returned=ways).endswith("return (x + 1).reshape(3, 7)")
    assert after(text, "(x + 1)[:, :B]", returned=ways).endswith("return (x + 1)[:, :3]")


def test_all_of_a_list_of_numbers_but_the_first_or_the_last():
    found = edits("def f(widths):\n    return zip(widths, widths)", {"widths": (3, 4, 5)})
    assert {"widths[1:] in place of widths", "widths[:-1] in place of widths"} <= set(found)
    assert not any("[1:]" in shown for shown in edits("def f(words):\n    return g(words)", {"words": ["a", "b"]}))


def test_an_item_of_what_is_returned_is_laid_out_otherwise():
    found = edits("def f(x, y):\n    return x, y.T", {"x": torch.zeros(2, 3, 4), "y": torch.zeros(2, 3)})
    assert "x.transpose(0, 1) in place of x" in found


def test_a_transposition_of_a_weight_is_left_out():
    owner = nn.Module()
    owner.weight = nn.Parameter(torch.zeros(2, 3))
    owner.register_buffer("bank", torch.zeros(2, 3))
    found = edits("def f(self, x):\n    return g(self.weight.T, self.bank.T)", {"self": owner})
    assert {"self.weight in place of self.weight.T", "self.bank in place of self.bank.T"} <= set(found)
