"""Functions that look at their variables by name are found, from any door, and run as they are."""

from __future__ import annotations

import torch

import tessera
from tessera.capture.local_names import codes_that_look_at_locals


def _looks(x):
    k = 3
    return x * eval("k") + len(locals())


class Layer(torch.nn.Module):
    """Goes through a function."""

    def forward(self, x):
        return _looks(x)


def test_they_are_found():
    for called in (_looks, lambda x: _looks(x) + 1, torch.nn.Sequential(Layer()), Layer().forward):
        assert codes_that_look_at_locals([called]) == [_looks.__code__]
    assert codes_that_look_at_locals([lambda net: net.eval(), lambda x: x * 2, torch.nn.Linear(2, 2), None]) == []


def test_they_see_their_variables():
    x = torch.arange(3.0)
    torch.testing.assert_close(tessera.compile(lambda x: _looks(x * 2) + 1)(x), _looks(x * 2) + 1)
