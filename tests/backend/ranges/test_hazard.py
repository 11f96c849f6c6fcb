"""The words of what is found."""

from __future__ import annotations

import math

import pytest
import torch
from torch import fx

from tessera.backend.ranges.hazard import dtype_name, format_of_node, origin, span, word
from tessera.backend.ranges.value_range import Range, between
from tests.backend.ranges.asking import HALF, interpreted, returned


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (between(0.0, 1.0), "between 0 and 1"),
        (between(2.0, 2.0), "2"),
        (Range(), "of any size"),
        (Range(low=0.0), "from 0 up"),
        (Range(high=0.5), "at most 0.5"),
        (Range(reached=(-4.0, 4.0)), "between -4 and 4"),
        (Range(0.0, math.inf, (0.0, 3.0)), "between 0 and 3"),
    ],
)
def test_a_range_in_words(value, words):
    assert span(value) == words


def test_a_node_in_words():
    _, graph = interpreted(lambda x: x.softmax(-1).float()[0, 1], HALF)
    last = returned(graph)
    source = origin(last)
    assert isinstance(source, fx.Node)
    assert word(source) == "softmax"
    assert (dtype_name(last), dtype_name(source)) == ("float32", "float16")
    assert format_of_node(source).largest == torch.finfo(torch.float16).max
    assert word(next(iter(graph.nodes))) == "input"
