from __future__ import annotations

import re

import pytest

from benchmarks import budget, gpt
from benchmarks.budget import Held, Impossible
from benchmarks.measure import Absent, Timing
from benchmarks.plan import Plan

SIZE = gpt.Size(layers=2, dim=64, heads=2, length=64, batch=4, vocabulary=128)
MiB = 1 << 20


@pytest.fixture
def peaks(monkeypatch):
    """What processes say, by budget; nobody trains."""
    found = {None: Held(500 * MiB, None)}
    monkeypatch.setattr(budget, "_in_a_process", lambda plan, share, size: found[share])
    timing = Timing((1.0,), 9.0, 1.0)
    monkeypatch.setattr(budget, "in_turns", lambda ways, *_, **__: dict.fromkeys(ways, timing))
    return found


def told(plan):
    return [(row.work.split(", ")[-1], row.peer, row.ours, row.target, row.met) for row in budget.measure(plan).rows]


def test_every_budget_has_its_rows(peaks):
    peaks |= {1.0: Held(440 * MiB, 400 * MiB), 0.5: Held(320 * MiB, 250 * MiB)}
    assert told(Plan(quick=True)) == [
        ("no budget", "", "500 MiB", "", None),
        ("budget 1", "predicted", "440 MiB", "0.9x to 1.1x", True),
        ("budget 1", "no budget", "440 MiB", "< 1x", True),
        ("budget 0.5", "predicted", "320 MiB", "0.9x to 1.1x", False),
        ("budget 0.5", "budget 1", "320 MiB", "< 1x", True),
        ("budget 0.5", "no budget", "320 MiB", "<= 0.6x", False),
        ("budget 0.5", "no budget", "1 s ± 0%", "<= 1.3x", True),
    ]


def test_of_an_impossible_budget_the_smallest_possible_one_is_measured(peaks):
    peaks |= {1.0: Held(440 * MiB, 400 * MiB), 0.5: Impossible(0.55), 0.55: Held(450 * MiB, 450 * MiB)}
    *_, error, predicted, larger, _ = told(Plan(quick=True))
    assert error == ("budget 0.5", "the error", "impossible, at least 0.55", "", None)
    assert predicted[:3] == ("budget 0.55", "predicted", "450 MiB")
    assert larger[1:] == ("budget 1", "450 MiB", "< 1x", False)


def test_a_process_that_fails_is_a_row_that_says_so(peaks):
    peaks |= {1.0: Absent("no memory"), 0.5: Held(MiB, MiB)}
    assert ("budget 1", "", "no memory", "all", None) in told(Plan(quick=True))


@pytest.mark.slow
def test_processes_say_what_they_hold():
    plan = Plan(quick=True)
    one = budget._in_a_process(plan, 1.0, SIZE)
    assert one.predicted > 0
    assert one.peak > 0
    assert isinstance(budget._in_a_process(plan, 0.01, SIZE), Impossible)


def test_a_budget_too_small_is_named_with_the_smallest(monkeypatch):
    from tessera.errors import MemoryBudgetError

    def raises(*_):
        raise MemoryBudgetError("It was passed.", "It needs more.", "Write memory_budget=0.48, or less.")

    monkeypatch.setattr(budget, "_step", lambda *_: (raises, ()))
    assert budget.held(0.1, SIZE) == Impossible(0.48)


@pytest.mark.slow
def test_what_is_there_before_the_first_step_does_not_count():
    found = budget.held(None, SIZE)
    assert re.fullmatch(r"Held\(peak=\d+, predicted=None\)", str(found))
    assert found.peak < 200 * MiB
