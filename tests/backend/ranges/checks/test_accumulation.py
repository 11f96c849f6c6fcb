"""Sums in formats of few digits."""

from __future__ import annotations

import pytest
import torch

from tests.backend.ranges.asking import kinds

LONG = torch.ones(30_000, dtype=torch.bfloat16)


def loop(x):
    total = x[0]
    for i in range(1, 200):
        total = total + x[i]
    return total


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x.abs().sum(),
        lambda x: x.cumsum(0),
        lambda x: x.sum(),
        lambda x: x.float().sum(dtype=torch.bfloat16),
        lambda x: 0.999 * x + 0.001 * x.flip(0),
        loop,
    ],
    ids=["positive", "running", "long", "dtype", "average", "loop"],
)
def test_it_is_found(function):
    assert kinds(function, LONG) == ["low-precision accumulation"]


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x.float().sum() + x.sum(dtype=torch.float32),
        lambda x: x.mean(),
        lambda x: x[:2000].sum() + x[:100].abs().sum(),
        lambda x: x.softmax(0).sum(),
        lambda x: 0.9 * x + 0.1 * x.flip(0),
        lambda x: loop(x.float()),
        lambda x: x + x + x + x,
    ],
    ids=["wide", "mean", "short", "softmax", "average", "loop", "few"],
)
def test_it_holds_back(function):
    assert kinds(function, LONG) == []
