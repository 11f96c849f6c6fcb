from __future__ import annotations

import json

import pytest

from benchmarks import first_step, gpt
from benchmarks.plan import Plan, on_stderr

SIZE = gpt.Size(layers=1, dim=32, heads=2, length=16, batch=2, vocabulary=64)


def test_every_row_is_there(monkeypatch):
    times = {first_step.ARTEFACT: 0.5, first_step.CACHED: 4.0, first_step.TORCH: 2.0, first_step.JAX: 1.0}
    monkeypatch.setattr(first_step, "_process", lambda way, *_: (times[way], 9.0))
    rows = first_step.measure(Plan(quick=True)).rows
    assert [(row.peer, row.ratio, row.target, row.met) for row in rows] == [
        (first_step.TORCH, "4.00x", ">= 3x", True),
        (first_step.JAX, "2.00x", ">= 1x", True),
        (first_step.CACHED, "8.00x", "", None),
    ]


def test_a_way_that_fails_says_so(monkeypatch):
    monkeypatch.setattr(first_step, "_process", lambda way, *_: "no JAX" if way == first_step.JAX else (1.0, 9.0))
    assert [row.theirs for row in first_step.measure(Plan(quick=True)).rows][1] == "no JAX"


@pytest.mark.slow
def test_all_ways_take_the_same_step(tmp_path, capsys):
    losses = []
    for way in (*first_step.WAYS, first_step.ARTEFACT):
        first_step.main([way, str(tmp_path / "folder"), json.dumps(SIZE.__dict__)])
        losses.append(json.loads(capsys.readouterr().out)[1])
    assert losses == pytest.approx([losses[0]] * 5, rel=1e-4)
    assert (tmp_path / "folder" / "step.tessera").exists()


@pytest.mark.slow
def test_in_processes_of_their_own():
    rows = first_step.measure(Plan(quick=True, say=on_stderr()), SIZE).rows
    assert all(row.ratio.endswith("x") for row in rows)
