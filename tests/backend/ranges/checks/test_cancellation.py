"""Differences in which little is left."""

from __future__ import annotations

import pytest
import torch

from tests.backend.ranges.asking import X, kinds


@pytest.mark.parametrize(
    "function",
    [
        lambda x: (x**2).mean(0) - x.mean(0) ** 2,
        lambda x: (x * x).mean() - x.mean().square(),
        lambda x: (x**2).sum(1, keepdim=True) / 8 - (x.sum(1, keepdim=True) / 8) ** 2,
        lambda x: x.exp() - 1,
        lambda x: (x + 1e9) - 1e9,
        lambda x: (x - 1e9) + 1e9,
    ],
)
def test_it_is_found(function):
    assert kinds(function, X) == ["cancellation"]


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x.var(0) - x.mean(0) ** 2,
        lambda x: (x**2).mean(0) - x.sin().mean(0) ** 2,
        lambda x: (x**2).mean(0) + x.mean(0) ** 2,
        lambda x: x.exp() - 2,
        lambda x: x.exp() - 1 - x,
        lambda x: 1 - x.exp(),
        lambda x: (x + 3.0) - 3.0,
        lambda x: (x + 12582912.0) - 12582912.0,
        lambda x: 1 - x.cos(),
        lambda x: torch.log(1 + x),
        lambda x: torch.sqrt(x + 1) - torch.sqrt(x),
    ],
)
def test_it_holds_back(function):
    assert kinds(function, X) == []


@pytest.mark.parametrize(
    ("function", "declared", "found"),
    [
        (lambda x: torch.sqrt(x + 1) - torch.sqrt(x), (1e5, 1e6), True),
        (lambda x: torch.sqrt(x + 1) - torch.sqrt(x), (0.0, 1.0), False),
        (lambda x: 1 - x.cos(), (0.0, 1e-3), True),
        (lambda x: 1 - x.cos(), (0.0, 3.0), False),
        (lambda x: torch.log(1 + x), (0.0, 1e-5), True),
        (lambda x: torch.log(1 + x), (0.0, 1.0), False),
        (lambda x: x.exp() - 1, (1.0, 2.0), False),
    ],
)
def test_a_declared_range_decides(function, declared, found):
    def f(x):
        return function(x)

    assert kinds(f, X, x=declared) == ["cancellation"] * found
