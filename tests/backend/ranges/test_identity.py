"""Nodes that hold the same values are recognised, and others are not."""

from __future__ import annotations

import pytest
import torch

from tests.backend.ranges.asking import X, interpreted


def asked(function):
    """The identity of the graph, and the two nodes that the function returns."""
    found, graph = interpreted(function, X)
    return found.identity, *graph.output_node().args[0]


@pytest.mark.parametrize(
    "function",
    [
        lambda x: (x.exp(), x.exp()),
        lambda x: (x.exp(), x.exp().detach().clone()),
        lambda x: (x * 2 + 1, x * 2 + 1),
    ],
    ids=["twice", "detached", "recomputed"],
)
def test_the_same_values_at_the_same_places(function):
    identity, a, b = asked(function)
    assert identity.same(a, b)


@pytest.mark.parametrize(
    "function",
    [
        lambda x: (x.exp(), (-x).exp()),
        lambda x: (x[:4, :4] * 1, x[:4, :4].T * 1),
        lambda x: (x[0], x[1]),
        lambda x: (torch.rand_like(x), torch.rand_like(x)),
        lambda x: (x[:, None] * 1, x[None] * 1),
    ],
    ids=["negated", "transposed", "other rows", "random", "broadcast"],
)
def test_other_values_or_other_places(function):
    identity, a, b = asked(function)
    assert not identity.same(a, b)


def test_the_same_content_elsewhere():
    identity, a, b = asked(lambda x: (x[:, None], x.T[None]))
    assert identity.same_content(a, b)
    identity, a, b = asked(lambda x: (x[0], x[1]))
    assert not identity.same_content(a, b)


@pytest.mark.parametrize(
    "largest",
    [lambda x: x.amax(1)[:, None], lambda x: x.max(1, keepdim=True).values, lambda x: x.detach().max()],
    ids=["amax", "max", "all"],
)
def test_the_largest_of_something(largest):
    identity, a, b = asked(lambda x: (largest(x), x * 1))
    x = b.args[0]
    assert identity.is_largest_of(a, x)
    assert not identity.is_least_of(a, x)
    assert not identity.is_largest_of(x, a)
