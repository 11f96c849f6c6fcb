"""Tensors that are made."""

from __future__ import annotations

import pytest
import torch

from tests.backend.ranges.asking import range_of
from tests.backend.ranges.rules.expected import INF, Expected

CASES = [
    Expected("zeros", torch.zeros_like, 0, 0, (0, 0)),
    Expected("ones", lambda x: torch.ones(3), 1, 1, (1, 1)),
    Expected("full", lambda x: torch.full((3,), 2.5), 2.5, 2.5, (2.5, 2.5)),
    Expected("numbers", lambda x: torch.arange(2, 10, 3), 2, 8, (2, 8)),
    Expected("steps", lambda x: torch.linspace(0, 1, 5), 0, 1, (0, 1)),
    Expected("uniform", torch.rand_like, 0, 1, (0, 1)),
    Expected("normal", torch.randn_like, -INF, INF, (-4, 4)),
    Expected("a constant tensor", lambda x: torch.tensor([1.0, 3.0]), 1, 3, (1, 3)),
    Expected("coins", lambda x: torch.bernoulli(x.sigmoid()), 0, 1, (0, 1)),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_source(case):
    case.check()


def test_exponential_numbers_are_positive():
    Expected("", lambda x: torch.empty_like(x).exponential_(), 1e-10, INF, None).check()


def test_a_uniform_number_is_less_than_one():
    assert range_of(torch.rand_like, torch.ones(3)).high == 1 - 2.0**-24
