"""Intervals, and what of them is evidence."""

from __future__ import annotations

import math

import pytest

from tessera.backend.ranges.value_range import (
    INF,
    TOP,
    Range,
    between,
    corners,
    hull,
    number,
    power,
    product,
    quotient,
    union,
)


def test_nothing_is_known_of_an_unknown_value():
    assert not TOP.reaches_zero
    assert not TOP.signed
    assert not TOP.bounded
    assert TOP.exact is None


def test_all_of_a_declared_range_is_reached():
    declared = between(-1.0, 2.0)
    assert declared.reaches_zero
    assert declared.signed
    assert declared.size == 2.0
    assert declared.within(-1, 2)
    assert not between(0.5, 1.0).reaches_zero


def test_zero_is_reached_only_where_it_can_be_at_all():
    assert not Range(0.1, 1.0, (0.0, 1.0)).reaches_zero


def test_a_constant_is_exact():
    assert number(3.0).exact == 3.0
    assert number(3.0).integer
    assert not number(0.5).integer
    assert number(math.inf).exact == INF
    assert number(1.0).constant
    assert not number(1.0).changed(data=True).constant


def test_values_of_several_places():
    found = union([between(0.0, 1.0), number(-3.0), Range(low=5.0)])
    assert (found.low, found.high, found.reached) == (-3.0, INF, (-3.0, 1.0))


def test_what_shares_a_source_is_not_independent():
    a, b = Range(sources=0b01), Range(sources=0b11)
    assert not a.independent(b)
    assert a.independent(Range(sources=0b10))


@pytest.mark.parametrize(
    ("function", "a", "b", "expected"),
    [(product, 0.0, INF, 0.0), (product, 2.0, -INF, -INF), (quotient, 1.0, INF, 0.0), (quotient, 1.0, 0.0, INF),
     (power, 10.0, 400.0, INF), (power, 0.0, -1.0, INF)],
)  # fmt: skip
def test_arithmetic_at_the_ends(function, a, b, expected):
    assert function(a, b) == expected


def test_corners_leave_out_what_is_no_number():
    assert corners(product, (-1.0, 2.0), (3.0, 4.0)) == (-4.0, 8.0)
    assert corners(lambda a, b: a - b, (INF, INF), (INF, INF)) == (-INF, INF)
    assert hull([math.nan]) is None
    assert math.isnan(power(-8.0, 1 / 3))
    assert math.isnan(quotient(0.0, 0.0))
