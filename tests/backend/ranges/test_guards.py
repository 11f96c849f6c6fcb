"""What is wrong and never chosen is no finding."""

from __future__ import annotations

import pytest
import torch

from tests.backend.ranges.asking import X, kinds


@pytest.mark.parametrize(
    "function",
    [
        lambda x: torch.where(x.norm() > 0, x / x.norm(), 0.0),
        lambda x: torch.where(x.abs().sum(1) == 0, 0.0, 1 / x.abs().sum(1)),
        lambda x: (1 / x.relu()).masked_fill(x <= 0, 0.0),
        lambda x: torch.nan_to_num(x / x.norm()),
        lambda x: torch.where(torch.isfinite(x.relu().log()), x.relu().log(), 0.0),
        lambda x: torch.where((x > 0).sum(1) < 4, 0, (8 + ((x > 0).sum(1) / 4).log() / 2 * 8).long().clamp(max=31)),
        lambda x: torch.where(x.relu() < 4, x, torch.minimum(a := 8 + x.relu().log(), torch.full_like(a, 15.0))),
        lambda x: torch.where((x.softmax(1) > 0) & (x > 0), -3 * x.softmax(1).log(), 0.0),
    ],
)
def test_it_is_replaced(function):
    assert kinds(function, X) == []


@pytest.mark.parametrize(
    "function",
    [
        lambda x: torch.where(x.sin() > 2, x / x.flip(0).norm(), 0.0) + x / x.flip(0).norm(),
        lambda x: torch.where(torch.rand(4, 8) > 0.5, x / x.norm(), 0.0),
        lambda x: x / x.norm(),
        lambda x: (x / x.norm()).masked_fill(torch.eye(4, 8, dtype=torch.bool), 0.0),
    ],
)
def test_it_is_not(function):
    assert kinds(function, X) == ["division by zero"]
