"""Names in a function lead to what they stand for, and nothing of the user's runs on the way."""

from __future__ import annotations

import math

import torch

from tessera.backend.named_values import named_values


class Touchy:
    """Minds being looked at."""

    def __getattribute__(self, name):
        raise AssertionError(name)


_touchy = Touchy()


def test_globals_variables_around_and_attributes():
    factor, later = 3, None
    del later

    def function(x):
        return torch.nn.functional.relu(x) * factor + _touchy.size + math.pi + later  # noqa: F821 - not assigned

    found = list(named_values(function))
    assert (torch, "nn") in found
    assert (torch.nn.functional, "relu") in found
    assert (torch.nn.functional.relu, "") in found
    assert (factor, "") in found
    assert (math.pi, "") in found
    assert any(value is _touchy and attribute == "size" for value, attribute in found)


def test_a_function_without_names():
    assert list(named_values(lambda x: x * 2)) == []
