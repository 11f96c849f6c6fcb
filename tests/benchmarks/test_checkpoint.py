from __future__ import annotations

import pytest

from benchmarks import checkpoint
from benchmarks.checkpoint import Size, loop, measure
from benchmarks.plan import Plan

SMALL = Size(width=8, batch=2, state_mb=0.002, save_every=3)


def test_the_state_is_as_large_as_it_is_said_to_be(tmp_path):
    size = Size(width=64, batch=2, state_mb=0.2, save_every=2)
    found = loop(Plan(), size, tmp_path)
    found.run(4)
    files = [sum(file.stat().st_size for file in path.glob("*.safetensors")) for path in tmp_path.iterdir()]
    assert len(files) == 2
    assert all(0.2e6 < nbytes < 0.27e6 for nbytes in files)
    assert len(found.times) == 4


def test_saves_change_nothing_that_is_trained(tmp_path):
    assert loop(Plan(), SMALL, tmp_path).run(9) == loop(Plan(), SMALL, None).run(9)


def test_the_row_compares_medians_and_the_note_tells_the_rest(monkeypatch):
    part = measure(Plan(quick=True), SMALL)
    (row,) = part.rows
    assert row.target == "<= 1.05x"
    assert row.ratio.endswith("x")
    assert row.met == (float(row.ratio[:-1]) <= checkpoint.AT_MOST) or row.ratio == "1.05x"
    assert "the longest" in part.notes[0]


def test_every_save_is_measured(monkeypatch):
    saved = []
    real = checkpoint.CheckpointManager.save

    def save(self, step, metrics):
        saved.append(step)
        real(self, step, metrics)

    monkeypatch.setattr(checkpoint.CheckpointManager, "save", save)
    measure(Plan(quick=True), SMALL)
    assert saved == list(range(3, 3 * len(saved) + 1, 3))
    assert len(saved) == 1 + 3 * SMALL.saves


def test_a_run_that_saves_nothing_is_no_measurement(monkeypatch):
    monkeypatch.setattr(checkpoint, "latest", lambda folder: None)
    with pytest.raises(RuntimeError, match="nothing was saved"):
        measure(Plan(quick=True), SMALL)
