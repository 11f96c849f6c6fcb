"""What is known of rows goes along with changes of shape, and no further."""

from __future__ import annotations

from tessera.backend.ranges.rows import NO_FACTS, Fact, Rows, after_view


def rows(dim: int) -> Rows:
    return Rows(length=Fact(frozenset((dim,)), 2.0))


def test_a_dim_that_moves_keeps_its_fact():
    assert rows(1).moved({1: 0}.get) == rows(0)
    assert rows(1).moved(lambda _: None) == NO_FACTS
    assert NO_FACTS.moved(lambda _: None) is NO_FACTS


def test_a_factor_scales_it():
    assert rows(1).scaled(3.0).length == Fact(frozenset((1,)), 6.0)


def test_values_that_become_smaller_keep_what_bounds_them_from_above():
    full = Rows(Fact(frozenset((0,)), 1.0), Fact(frozenset((0,)), 1.0), None)
    assert full.bounds() == Rows(None, full.total, None)
    assert Rows(peak=full.peak).bounds() is NO_FACTS


def test_a_view_keeps_a_dim_with_the_same_ahead_of_it():
    where = after_view((2, 3, 4), (6, 4))
    assert where(2) == 1
    assert where(1) is None
    assert after_view((6, 4), (2, 3, 4))(1) == 2
    assert after_view((4, 6), (4, 3, 2))(1) is None
