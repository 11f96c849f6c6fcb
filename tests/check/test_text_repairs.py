from __future__ import annotations

import torch
from torch import nn

from tessera.check.budget import Budget
from tessera.check.remade import how_made
from tessera.check.text_repairs import edited_texts
from tessera.check.visited import visited


def joined(a, b):
    return torch.cat([a, b], dim=1)


def plus_one(a, b):
    both = joined(a, b)
    number = 1
    return both + number


class Stack(nn.Module):
    def __init__(self, sizes=(3, 4, 5)) -> None:
        super().__init__()
        self.layers = nn.ModuleList()
        before = 3
        for size in sizes:
            self.layers.append(nn.Linear(before, size))
            before = size + 1

    def forward(self, x):
        for layer in self.layers:
            x = layer(x)
        return x


def texts(*given, function, error=None):
    with visited() as seen:
        function(*given)
    return list(edited_texts(seen.names, [2], error=error))


def test_a_function_that_others_call_is_edited_and_so_called():
    found = texts(torch.zeros(2, 3), torch.zeros(2, 4), function=plus_one)
    edit = next(one for one in found if one.edit.text == "0 in place of 1" and "dim=1" in one.where.code)
    function, root = edit.applied(plus_one, None)
    assert root is None
    assert function(torch.zeros(2, 3), torch.zeros(4, 3)).shape == (6, 3)
    assert joined(torch.zeros(2, 3), torch.zeros(2, 4)).shape == (2, 7)


def test_lines_behind_the_one_that_raised_are_left_alone():
    lines = {}
    try:
        plus_one(torch.zeros(2, 3), torch.zeros(3, 4))
    except RuntimeError as error:
        lines["raised"] = {
            one.where.code for one in texts(torch.zeros(2, 3), torch.zeros(2, 4), function=plus_one, error=error)
        }
    lines["all"] = {one.where.code for one in texts(torch.zeros(2, 3), torch.zeros(2, 4), function=plus_one)}
    assert lines["all"] - lines["raised"] == {"number = 1", "return both + number"}


def test_a_constructor_is_edited_and_the_module_made_anew():
    stack = Stack()
    made = how_made(stack, [], Budget())
    found = list(edited_texts(made.names, [], made))
    edit = next(one for one in found if one.edit.text == "size in place of size + 1")
    function, root = edit.applied(stack, stack)
    assert function is root
    assert [layer.in_features for layer in root.layers] == [3, 3, 4]
    assert [layer.in_features for layer in stack.layers] == [3, 4, 5]
