from __future__ import annotations

import math

import pytest
import torch

from tessera.debug.closeness import difference, eps_of

EXACT = torch.linspace(1, 2, 8, dtype=torch.float64) / 3
VALUE = EXACT.float()


def test_another_order_of_sums_is_explained():
    other = VALUE * (1 + 2e-7)
    assert difference(VALUE, other, EXACT).is_explained
    assert not difference(VALUE, VALUE * 1.001, EXACT).is_explained


def test_one_wrong_element_is_named():
    other = VALUE.clone()
    other[3] = 7
    found = difference(VALUE, other, EXACT)
    assert not found.is_explained
    assert found.index == (3,)
    assert str(found) == f"{VALUE[3].item():.6g} and 7 at [3]"


def test_a_coarser_precision_may_be_further_off():
    other = VALUE.bfloat16()
    assert difference(VALUE, other, EXACT).is_explained
    assert not difference(VALUE, other.float(), EXACT).is_explained
    assert difference(VALUE, other.float(), EXACT, precision=eps_of(other)).is_explained
    assert not difference(VALUE, other * 1.5, EXACT).is_explained


def test_what_is_ill_conditioned_may_be_off():
    value, other, exact = torch.tensor([3e-5]), torch.tensor([-2e-5]), torch.tensor([1e-9], dtype=torch.float64)
    assert difference(value, other, exact).is_explained
    lucky = torch.tensor([1e-9])
    assert not difference(lucky, other, exact).is_explained
    assert difference(lucky, other, exact, moved=1e-5).is_explained


@pytest.mark.parametrize(
    ("value", "other", "same"),
    [
        (math.inf, math.inf, True),
        (math.nan, math.nan, True),
        (math.inf, -math.inf, False),
        (math.nan, 1.0, False),
        (1.0, math.nan, False),
    ],
)
def test_what_is_not_finite(value, other, same):
    tensors = [torch.tensor([v, 1.0]) for v in (value, other, value)]
    assert difference(*tensors).is_explained is same


def test_whole_numbers_shapes_and_nothing():
    n = torch.arange(4)
    assert difference(n, n.clone(), n).is_explained
    assert not difference(n, n + 1, n).is_explained
    assert not difference(VALUE, VALUE[:4], EXACT).is_explained
    assert difference(VALUE[:0], VALUE[:0], EXACT[:0]).is_explained
