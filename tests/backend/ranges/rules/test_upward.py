"""An exponential of what is large and below 0 does not overflow."""

from __future__ import annotations

import pytest
import torch

from tests.backend.ranges.asking import kinds

X, Y = torch.zeros(5, 128), torch.zeros(6, 128)


@pytest.mark.parametrize(
    "exponent",
    [
        lambda x, y: -((x**2).sum(1, keepdim=True) + (y**2).sum(1) - 2 * x @ y.T),
        lambda x, y: 2 * (x @ y.T) - y.square().sum(1)[None] - (x * x).sum(1)[:, None],
        lambda x, y: ((y**2).sum(1) + (x**2).sum(1, keepdim=True)) / -2 + x @ y.T,
        lambda x, y: x.mean(1) - 3 * (x**2).sum(1),
    ],
)
def test_squares_that_are_subtracted_overflow_nothing(exponent):
    assert kinds(lambda x, y: torch.exp(exponent(x, y)), X, Y) == []


@pytest.mark.parametrize(
    "exponent",
    [
        lambda x: (x**2).sum(1) - x.mean(1),
        lambda x: x * 1e4 - 1.0,
        lambda x: x.mean(1) - (-2) * (x**2).sum(1),
        lambda x: -(x.mean(1) - (x**2).sum(1)),
        lambda x: (x**2).sum(1, keepdim=True) - (x**2).sum(1),
    ],
)
def test_squares_that_are_added_do(exponent):
    assert kinds(lambda x: torch.exp(exponent(x)), X) == ["overflow"]
