"""Equal values that are one object in one call and two in the next, where the function asks."""

from __future__ import annotations

import pytest
import torch

import tessera
from tessera.capture.identity_watch import CHANGED_TOO, OTHER_OBJECTS

TEXT, NUMBER = "a text that is", 1_000_000_007


def _again(value):
    """An equal one that is another object."""
    kind = type(value)
    return "".join(list(value)) if kind is str else int(str(value)) if kind is int else kind([*value])


@pytest.mark.parametrize("value", [TEXT, NUMBER, [1, 2], (1, [2])], ids=["text", "number", "list", "tuple"])
def test_python_says_which_objects_are_one(value):
    compiled = tessera.compile(lambda x, a, b: (x * 2 if a is b else x * 3, a == b))
    x, other = torch.ones(2), _again(value)
    for a, b, expected in ((value, value, 2), (value, other, 3), (value, value, 2), (other, other, 2)):
        result, equal = compiled(x, a, b)
        assert equal
        assert result.tolist() == [expected] * 2
    if type(value) is not list:  # which Dynamo guards itself
        assert OTHER_OBJECTS in [entry.reason for entry in compiled.report.step_downs]


def test_layers_and_objects_of_a_users_own():
    one, other = torch.nn.Linear(1, 1), torch.nn.Linear(1, 1)
    state = {"active": one, "spare": other}
    compiled, x = tessera.compile(lambda x: x * 2 if state["active"] is state["spare"] else x * 3), torch.ones(1)
    assert compiled(x).item() == 3
    state["spare"] = one
    assert compiled(x).item() == 2
    state["active"] = other
    assert compiled(x).item() == 3


def test_weights_that_are_tied_and_untied():
    class Tied(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.one, self.other = torch.nn.Linear(1, 1, bias=False), torch.nn.Linear(1, 1, bias=False)

        def forward(self, x):
            return x * (2 if self.one.weight is self.other.weight else 3)

    module = Tied()
    compiled, x, own = tessera.compile(module), torch.ones(1), module.other.weight
    for weight, expected in ((own, 3), (module.one.weight, 2), (own, 3), (module.one.weight, 2)):
        module.other.weight = weight
        assert compiled(x).item() == expected


def test_of_many_layers_those_that_are_named():
    class Stack(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = torch.nn.ModuleList([torch.nn.Linear(1, 1) for _ in range(20)])
            self.first, self.last = self.layers[0], self.layers[1]

        def forward(self, x):
            for layer in self.layers:
                x = layer(x)
            return x * 0 + (2 if self.first is self.last else 3)

    module = Stack()
    compiled, x = tessera.compile(module), torch.ones(1)
    assert compiled(x).item() == 3
    module.last = module.first
    assert compiled(x).item() == 2


def test_in_pieces_too(capsys):
    def asks(x, a, b):
        print("asks")  # noqa: T201 - where the capture breaks
        return x * 2 if a is b else x * 3

    compiled, x = tessera.compile(asks), torch.ones(1)
    assert [compiled(x, TEXT, b).item() for b in (TEXT, _again(TEXT), TEXT)] == [2, 3, 2]
    assert capsys.readouterr().out == "asks\n" * 3


class Settings:
    """Has two texts."""

    def __init__(self):
        self.first = self.second = TEXT


def test_attributes():
    settings = Settings()
    compiled = tessera.compile(lambda x: x * 2 if settings.first is settings.second else x * 3)
    assert compiled(torch.ones(1)).item() == 2
    settings.second = _again(TEXT)
    assert compiled(torch.ones(1)).item() == 3


def test_what_is_only_compared_is_not_looked_at():
    compiled = tessera.compile(lambda x, a, b: x * 2 if a == b and a is not None else x * 3)
    for b in (TEXT, _again(TEXT)):
        assert compiled(torch.ones(1), TEXT, b).item() == 2
    assert not compiled.report.step_downs
    assert len(compiled.report.compilations) == 1


def test_one_object_for_each_small_number():
    compiled = tessera.compile(lambda x, a, b: x * 2 if a is b else x * 3)
    assert compiled(torch.ones(1), "a", "a").item() == 2
    assert compiled(torch.ones(1), 7, int("7")).item() == 2
    assert not compiled.report.step_downs


class Two:
    def __init__(self, one, other):
        self.one, self.other = one, other


@pytest.mark.parametrize("kind", [list, set, dict])
def test_what_is_changed_may_become_another_object_that_is_read(kind):
    change = {list: lambda v: v.append(1), set: lambda v: v.add(1), dict: lambda v: v.setdefault(1, 1)}[kind]
    holder = Two(kind(), kind())

    def function(x):
        change(holder.one)
        return x * (len(holder.other) + 1)

    compiled = tessera.compile(function)
    assert compiled(torch.ones(1)) == 1
    holder.one = holder.other = kind()
    assert compiled(torch.ones(1)) == 2
    holder.one, holder.other = kind(), kind()
    assert compiled(torch.ones(1)) == 1
    assert [entry.reason for entry in compiled.report.step_downs] == [CHANGED_TOO]


def test_what_is_changed_in_a_piece_may_become_another_object():
    holder = Two([], [])

    def function(x):
        torch._dynamo.graph_break()
        holder.one.append(1)
        return x * (len(holder.other) + 1)

    compiled = tessera.compile(function)
    assert compiled(torch.ones(1)) == 1
    holder.one = holder.other = []
    assert compiled(torch.ones(1)) == 2


def test_what_is_only_read_may_be_one_object():
    holder = Two([1], [2])
    compiled = tessera.compile(lambda x: x * holder.one[0] + holder.other[0])
    assert compiled(torch.ones(1)) == 3
    holder.one = holder.other = [1]
    assert compiled(torch.ones(1)) == 2
    assert not compiled.report.step_downs
