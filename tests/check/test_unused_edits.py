from __future__ import annotations

import ast

import torch
from torch import nn

from tests.check.edited import after, edits


def test_what_is_made_and_not_used_is_joined_to_what_is():
    text = "def f(self, x, w):\n    context = (w * x).sum(1)\n    return self.cell(x)"
    names = {"x": torch.zeros(2, 3), "context": torch.zeros(2, 3)}
    shown = "torch.cat([x, context], dim=-1) in place of x"
    assert after(text, shown, names).splitlines()[2] == "    return self.cell(torch.cat([x, context], dim=-1))"
    assert edits(text, names)[shown].line == 3
    assert shown not in edits(text.replace("cell(x)", "cell(x, context)"), names)


def test_a_list_takes_what_was_made_for_it():
    text = "def f(a, b):\n    c = a + b\n    return torch.cat([a, b])"
    names = dict.fromkeys("abc", torch.zeros(2))
    assert "[a, b, c] in place of [a, b]" in edits(text, names)


def test_what_no_layer_goes_through_goes_through_the_one_that_nobody_calls():
    text = "def f(x):\n    for up, down in pairs:\n        x = x + up(x)\n    return x"
    names = {"x": torch.zeros(2, 3), "up": nn.Linear(3, 6), "down": nn.Linear(6, 3)}
    assert "down(up(x)) in place of up(x)" in edits(text, names)


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.up, self.down = nn.Linear(3, 6), nn.Linear(6, 3)


def test_so_does_one_of_the_module_that_no_method_calls():
    made = "class Net:\n    def __init__(self):\n        self.up, self.down = 1, 2"
    (around,) = ast.parse(f"{made}\n    def f(self, x):\n        return self.up(x)").body
    names = {"self": Net(), "x": torch.zeros(2, 3)}
    found = edits(ast.unparse(around.body[1]), names, around=around)
    assert "self.down(self.up(x)) in place of self.up(x)" in found
    assert not any("self.down(self.up" in shown for shown in edits(ast.unparse(around.body[1]), names))


def test_the_turn_of_a_loop_takes_its_part():
    text = "def f(x, tables):\n    return [table(x) for i, table in enumerate(tables)]"
    names = {"x": torch.zeros(2, 3), "i": 2}
    assert {"x[:, i] in place of x", "x[i] in place of x"} <= set(edits(text, names))
    assert not any("x[i]" in shown for shown in edits(text.replace("table(x)", "table(x, i)"), names))
