from __future__ import annotations

import math

import pytest

from benchmarks.measure import Absent, Timing
from benchmarks.row import OURS, Part, Row, compared, faster, figure, limited, seconds


def timing(median, answer=1.0):
    return Timing((median,), answer, 2.0)


@pytest.mark.parametrize(
    ("theirs", "least", "ratio", "met"),
    [(8.0, 8.0, "8.00x", True), (7.9, 8.0, "7.90x", False), (0.5, None, "0.50x", None)],
)
def test_faster_is_their_time_over_ours(theirs, least, ratio, met):
    row = compared("w", "p", timing(1.0), timing(theirs), least=least)
    assert (row.ratio, row.met) == (ratio, met)
    assert row.target == ("" if least is None else ">= 8x")


@pytest.mark.parametrize(("ours", "met"), [(1.15, True), (1.16, False)])
def test_dearer_is_our_time_over_theirs(ours, met):
    row = compared("w", "p", timing(ours), timing(1.0), most=1.15)
    assert (row.ratio, row.target, row.met) == (f"{ours:.2f}x", "<= 1.15x", met)


def test_an_absent_peer_is_a_row_and_no_target_is_met_or_missed():
    row = compared("w", "JAX", timing(1.0), Absent("not installed"), least=2.0)
    assert (row.theirs, row.ratio, row.target, row.met) == ("not installed", "", ">= 2x", None)


def test_when_tessera_fails_its_targets_are_missed():
    assert compared("w", "p", Absent("failed"), timing(1.0), least=2.0).met is False
    assert compared("w", "p", Absent("failed"), timing(1.0)).met is None


def test_who_computes_something_else_is_not_compared():
    row = compared("w", "p", timing(1.0, answer=1.0), timing(9.0, answer=1.02), least=2.0)
    assert (row.ratio, row.met) == ("ANOTHER ANSWER", False)
    assert compared("w", "p", timing(1.0, answer=1.0), timing(9.0, answer=math.nan), least=2.0).met is False
    assert compared("w", "p", timing(1.0, answer=1.0), timing(9.0, answer=1.005), least=2.0).met is True
    assert compared("w", "p", timing(1.0, answer=1e-5), timing(9.0, answer=2e-5), least=2.0).met is True


def test_answers_may_be_further_apart_where_that_is_said():
    outcomes = {OURS: timing(1.0, answer=1.0), "bf16": timing(2.0, answer=1.05)}
    (row,) = faster("int4", outcomes, {"bf16": 1.0}).rows
    assert row.ratio == "ANOTHER ANSWER"
    (row,) = faster("int4", outcomes, {"bf16": 1.0}, same=0.1).rows
    assert row.met


def test_every_peer_has_a_row_and_all_have_a_note():
    outcomes = {OURS: timing(1.0), "eager": timing(3.0), "JAX": Absent("not installed")}
    part = faster("work", outcomes, {"eager": 2.0})
    assert [(row.peer, row.met) for row in part.rows] == [("eager", True), ("JAX", None)]
    assert "Tessera 1, eager 1" in part.notes[0]
    assert "JAX" not in part.notes[0]


def test_parts_add_up():
    rows = [limited("w", "p", 1, 2), limited("v", "p", 1, 2)]
    assert Part([rows[0]], ["a"]) + Part([rows[1]], ["b"]) == Part(rows, ["a", "b"])


@pytest.mark.parametrize(("found", "met"), [(2, True), (3, False), (math.inf, False), (math.nan, False)])
def test_a_limit(found, met):
    assert limited("w", "p", found, 2).met is met


def test_what_a_limit_shows():
    assert limited("w", "p", 2.6645e-15, 1e-9) == Row("w", "p", "2.66e-15", target="<= 1e-09", met=True)


@pytest.mark.parametrize(
    ("value", "text"), [(12.34, "12.3 s"), (1.0, "1 s"), (0.0912, "91.2 ms"), (2.2e-5, "22 us"), (5e-7, "0.5 us")]
)
def test_seconds_have_three_digits_and_a_unit(value, text):
    assert seconds(value) == text


def test_a_figure_says_its_spread_or_the_reason():
    assert figure(Timing((0.9, 1.0, 1.1), 0.0, 0.0)) == "1 s ± 5%"
    assert figure(Absent("not installed")) == "not installed"
