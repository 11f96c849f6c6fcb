from __future__ import annotations

import math

import pytest
import torch

from tessera.debug.ranges import is_finite, range_of, watchable

HOLES = torch.tensor([1.0, math.nan, -3.0, math.inf, math.inf])


def test_the_ends_are_those_of_the_finite_values():
    found = range_of(HOLES)
    assert (found.low, found.high, found.nan, found.inf) == (-3.0, 1.0, 1, 2)
    assert str(found) == "float32[5] in [-3, 1] with 1 NaN and 2 inf"
    assert not found.finite


@pytest.mark.parametrize(
    ("tensor", "text"),
    [
        (torch.tensor([1, 5]), "int64[2] in [1, 5]"),
        (torch.tensor([True, False]), "bool[2] in [0, 1]"),
        (torch.tensor([7, 9], dtype=torch.uint64), "uint64[2] in [7, 9]"),
        (torch.tensor(2.0), "float32[] 2"),
        (torch.ones(3), "float32[3] all 1"),
        (torch.ones(0, 2), "float32[0, 2] empty"),
        (torch.full((2,), math.inf), "float32[2] all 2 inf"),
        (torch.tensor([1 + 4j]), "complex64[1] in [1, 4]"),
        (torch.tensor([1.5, -2.0]).to(torch.float8_e4m3fn), "float8_e4m3fn[2] in [-2, 1.5]"),
        (torch.ones(2, device="meta"), "float32[2]"),
        (torch.ones(2).to_sparse(), "float32[2] all 1"),
    ],
    ids=str,
)
def test_in_words(tensor, text):
    assert str(range_of(tensor)) == text


def test_only_floats_and_complex_numbers_can_be_amiss():
    assert watchable([torch.ones(1), torch.ones(1, dtype=torch.int8), torch.ones(1, dtype=torch.complex64)])[
        1
    ].is_complex()
    assert not is_finite(HOLES)
    assert is_finite(torch.arange(3))
