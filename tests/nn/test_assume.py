"""What is said of a tensor's values in the code."""

from __future__ import annotations

import pytest
import torch

import tessera
from tessera.errors import NumericsError, SettingError
from tessera.nn.assume import CHECKED

X = torch.ones(4, 8)


def test_it_changes_nothing():
    x = torch.randn(3, requires_grad=True)
    y = tessera.assume(x, -10, 10)
    y.sum().backward()
    assert torch.equal(y, x)
    assert torch.equal(x.grad, torch.ones(3))


def test_it_is_known_to_the_analysis():
    assert tessera.check_numerics(lambda x: torch.exp(tessera.assume(x, 0, 1000)), X)
    assert tessera.check_numerics(lambda x: x / x.norm(), X)
    assert tessera.check_numerics(lambda x: x / tessera.assume(x.norm(), 0.1), X) == []


def test_it_says_nothing_of_what_follows():
    assert tessera.check_numerics(lambda x: tessera.assume(x, 0, 1).mul(5).log1p() + x.square(), X) == []


@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
def test_it_is_compiled_with_what_stands_around_it(backend):
    def f(x):
        return tessera.assume(x, -10, 10) * 2

    assert torch.equal(torch.compile(f, backend=backend, fullgraph=True)(X), 2 * X)


@pytest.mark.parametrize("ends", [(1.0, 0.0), (float("nan"), 1.0)], ids=str)
def test_a_range_that_is_none(ends):
    with pytest.raises(SettingError, match=r"Write tessera.assume\(x, 0.0, 1.0\)"):
        tessera.assume(X, *ends)


def test_a_debugger_has_the_values_looked_at():
    token = CHECKED.set(True)
    try:
        tessera.assume(X, 0, 1)
        with pytest.raises(NumericsError, match="32 of 32 values lie outside, the first is 1"):
            tessera.assume(X, 2, 3)
    finally:
        CHECKED.reset(token)
