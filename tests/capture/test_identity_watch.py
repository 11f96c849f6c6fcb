"""Equal values that are one object in one call and two in the next, where the function asks."""

from __future__ import annotations

import pytest
import torch

import tessera
from tessera.capture.identity_watch import OTHER_OBJECTS

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
