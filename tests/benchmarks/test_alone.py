from __future__ import annotations

import os
import sys
from functools import partial

import pytest

from benchmarks.alone import Alone, alone, smaller
from benchmarks.measure import Absent, Timing
from benchmarks.plan import Plan

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="peak memory is read from /proc")


def holding(megabytes):
    """A way that holds this much memory for a moment."""

    def run():
        return float(len(bytes(b"1" * (megabytes << 20))) >> 20)

    return run


def failing():
    raise ValueError("no such model")


def dying():
    os._exit(7)


def test_the_peak_is_that_of_the_work_alone():
    found = alone(partial(holding, 200), Plan(quick=True), imports=["torch"], rounds=3)
    assert isinstance(found, Alone)
    assert found.timing.answer == 200
    assert len(found.timing.seconds) == 3
    assert 195 < found.peak / 2**20 < 450  # the kernel counts pages a little late


@pytest.mark.parametrize(
    ("make", "reason"),
    [(failing, "failed: ValueError: no such model"), (dying, "its process ended with 7")],
    ids=["fails", "dies"],
)
def test_what_fails_is_absent_and_says_why(make, reason):
    assert alone(make, Plan(quick=True), imports=[], rounds=1) == Absent(reason)


def test_a_module_that_is_missing_does_not_end_it():
    assert isinstance(alone(partial(holding, 1), Plan(), imports=["no_such_module"], rounds=1), Alone)


def test_a_row_holds_two_peaks_against_each_other():
    small, large = (Alone(Timing((1.0,), 0.0, 0.0), peak) for peak in (1 << 20, 4 << 20))
    row = smaller("work", "peer", small, large, most=0.5)
    assert (row.ours, row.theirs, row.ratio, row.target, row.met) == ("1 MiB", "4 MiB", "0.25x", "<= 0.5x", True)
    assert smaller("work", "peer", large, small, most=0.5).met is False
    assert smaller("work", "peer", small, Absent("not installed"), most=0.5).met is None
    assert smaller("work", "peer", Absent("failed"), small, most=0.5).met is False
