"""What a rule is told of an operation."""

from __future__ import annotations

import torch

from tessera.backend.ranges.question import dtype_of, tensor_of
from tests.backend.ranges.asking import X, interpreted, returned


def question(function, *inputs):
    found, graph = interpreted(function, *inputs)
    return found.question(returned(graph))


def test_arguments_by_position_and_name():
    q = question(lambda x: torch.sum(x, (0, -1), keepdim=True), X)
    assert q.argument(1, "dim") == [0, -1]
    assert q.argument(2, "keepdim") is True
    assert q.argument(9, "nothing", "default") == "default"
    assert q.dims([0, -1]) == frozenset((0, 1))
    assert q.dims(None) == frozenset((0, 1))
    assert q.dims(-1) == frozenset((1,))
    assert q.count(frozenset((0, 1))) == (32, 32)
    assert q.shape() == [4, 8]
    assert q.shape(q.node) == [1, 1]


def test_ranges_of_tensors_numbers_and_lists():
    q = question(lambda x: torch.cat([x.sigmoid(), x.tanh()]), X)
    assert [(part.low, part.high) for part in q.parts(q.argument(0))] == [(0.0, 1.0), (-1.0, 1.0)]
    assert question(lambda x: x + 2, X).y.exact == 2.0
    assert question(lambda x: x + 2, X).range_of("text").reached is None


def test_the_result():
    q = question(lambda x: x.half(), X)
    assert dtype_of(q.node) is torch.float16
    assert q.format.digits == 11
    assert tensor_of("text") is None
    assert dtype_of("text") is None
