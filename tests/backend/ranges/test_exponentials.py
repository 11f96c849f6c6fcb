"""Sums of exponentials are followed to where their size is undone."""

from __future__ import annotations

import pytest
import torch

from tessera.backend.ranges.exponentials import cold, exponent_of, follow, hot
from tests.backend.ranges.asking import X, interpreted, returned


def followed(function):
    """What is known of the exponentials that the function returns, and of the rest."""
    found, graph = interpreted(function, X)
    return follow(graph, found).get(returned(graph)), found


@pytest.mark.parametrize(
    ("function", "constant", "summed", "guarded"),
    [
        (torch.exp, False, False, False),
        (lambda x: 2**x, False, False, False),
        (lambda x: (1 + x.exp()) * 3, True, False, False),
        (lambda x: x.exp().sum(-1)[None], False, True, False),
        (lambda x: x.exp() + (-x).exp(), False, False, False),
        (lambda x: x.exp() * x.sigmoid(), False, False, False),
        (lambda x: x.exp().clamp_min(1e-6), False, False, True),
    ],
)
def test_a_sum_of_exponentials_is_one(function, constant, summed, guarded):
    part, _ = followed(function)
    assert part is not None
    assert (part.constant, part.summed, part.guarded) == (constant, summed, guarded)


@pytest.mark.parametrize(
    "function",
    [lambda x: x.exp() + x, lambda x: x.exp() * x, lambda x: x / x.exp(), torch.sin, lambda x: x.exp().log()],
)
def test_what_is_more_than_that_is_none(function):
    part, _ = followed(function)
    assert part is None


def test_hot_is_what_nothing_keeps_below_the_limit():
    part, found = followed(lambda x: x.exp() + x.tanh().exp())
    assert [exponent_of(maker).name for maker in hot(part, found)] == ["arg0_1"]
    part, found = followed(lambda x: (-x.abs()).exp())
    assert not list(hot(part, found))
    assert cold(part, found)


def test_cold_is_what_can_all_be_zero():
    assert not cold(*followed(lambda x: (x - x.amax(1, keepdim=True)).exp().sum(1)))
    assert not cold(*followed(lambda x: 1 + (-x.abs()).exp()))
    assert not cold(*followed(lambda x: x.tanh().exp().sum()))
    assert cold(*followed(lambda x: (-x.square()).exp().sum()))
