from __future__ import annotations

import math

import pytest

from benchmarks import compile_time, gpt
from benchmarks.compile_time import COMPILED, DEEP, JAX, SHALLOW, cold, first_step
from benchmarks.measure import Absent, Timing
from benchmarks.plan import Plan
from benchmarks.row import OURS

SIZE = gpt.Size(layers=1, dim=32, heads=2, length=16, batch=2, vocabulary=64)


def test_every_row_is_there(monkeypatch):
    seconds = {OURS: 1.0, COMPILED: 4.0, JAX: 2.0}

    def found(name, layers, plan):
        return Timing((seconds[name] * (1.4 if layers == DEEP else 1.0),), float(layers), 0.0)

    monkeypatch.setattr(compile_time, "cold", found)
    rows = compile_time.measure(Plan()).rows
    assert [(row.peer, row.target, row.met) for row in rows] == [
        (COMPILED, "<= 0.5x", True),
        (JAX, "", None),
        (COMPILED, "<= 0.2x", False),
        (JAX, "<= 1x", True),
        (f"the same of {SHALLOW}", "<= 1.5x", True),
    ]


def test_the_first_step_of_tessera():
    seconds, loss = first_step(OURS, SIZE)
    assert seconds > 0
    assert math.isclose(loss, math.log(SIZE.vocabulary), rel_tol=0.3)


def test_a_way_that_fails_or_takes_too_long_is_absent():
    assert isinstance(cold("nobody", 1, Plan()), Absent)
    assert cold(OURS, 1, Plan(limit_s=1.0)) == Absent("out of time")


@pytest.mark.slow
@pytest.mark.parametrize("name", [OURS, COMPILED])
def test_a_fresh_process_answers(name):
    assert isinstance(cold(name, 1, Plan()), Timing)
