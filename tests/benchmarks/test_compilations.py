from __future__ import annotations

import math

import pytest
import torch

from benchmarks import compilations
from benchmarks.plan import Plan
from tessera.program import Report
from tessera.program.report import Compilation

WAYS = [compilations.torch_schedule, compilations.tessera_schedule, compilations.in_fit]


def test_batches_are_of_32_and_a_last_one_of_17():
    sizes = [len(y) for _, y in compilations.batches(torch.device("cpu"), 50)]
    assert sizes == ([32] * 24 + [17]) * 2


def test_the_factor_goes_up_and_down():
    assert [compilations.factor(step) for step in (0, 50, 100)] == [0.0, 0.5, 1.0]
    assert compilations.factor(550) == pytest.approx(0.5)
    assert compilations.factor(1000) == pytest.approx(0.0)


@pytest.mark.parametrize("way", WAYS)
def test_two_epochs_compile_at_most_twice(way):
    assert 1 <= compilations.compilations(way(Plan(), steps=50)) <= 2


def test_nothing_compiled_is_no_success():
    assert compilations.compilations(Report("a step")) == math.inf
    assert compilations.compilations(Report("a step", compilations=[Compilation("p")] * 3)) == 3


def test_every_row_is_there(monkeypatch):
    report = Report("a step", compilations=[Compilation("p")] * 3)
    for way in WAYS:
        monkeypatch.setattr(compilations, way.__name__, lambda plan: report)
    rows = compilations.measure(Plan()).rows
    assert [(row.ours, row.target, row.met) for row in rows] == [("3", "<= 2", False)] * 3
