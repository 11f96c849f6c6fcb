"""Functions that look at their variables by name, or set attributes of one, are found and run as they are."""

from __future__ import annotations

import torch

import tessera
from tessera.capture.left_alone import codes_to_leave_alone, users_functions


def _looks(x):
    k = 3
    return x * eval("k") + len(locals())


class Layer(torch.nn.Module):
    """Goes through a function."""

    def forward(self, x):
        return _looks(x)


def test_they_are_found():
    for called in (_looks, lambda x: _looks(x) + 1, torch.nn.Sequential(Layer()), Layer().forward):
        assert codes_to_leave_alone(users_functions([called])) == [_looks.__code__]
    assert (
        codes_to_leave_alone(users_functions([lambda net: net.eval(), lambda x: x * 2, torch.nn.Linear(2, 2), None]))
        == []
    )


def _counts(x):
    _counts.calls = getattr(_counts, "calls", 0) + 1
    return x * _counts.calls


def test_functions_that_set_attributes_of_one():
    module = torch.nn.Module()
    module.function = _counts
    assert codes_to_leave_alone(users_functions([module])) == [_counts.__code__]
    assert codes_to_leave_alone(users_functions([_counts])) == [_counts.__code__]


def test_they_see_their_variables():
    x = torch.arange(3.0)
    torch.testing.assert_close(tessera.compile(lambda x: _looks(x * 2) + 1)(x), _looks(x * 2) + 1)
