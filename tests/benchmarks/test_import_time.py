from __future__ import annotations

import subprocess

import pytest

from benchmarks import import_time
from benchmarks.measure import Timing
from benchmarks.plan import Plan


def test_a_program_runs_in_a_python_of_its_own():
    assert import_time.fresh_interpreter("import tessera")() == 0.0
    with pytest.raises(subprocess.CalledProcessError):
        import_time.fresh_interpreter("import tessera.gone")()


def test_every_row_is_there(monkeypatch):
    times = {import_time.TABLE: 1.0, import_time.LAYERS: 1.2, import_time.TORCH: 1.0}
    monkeypatch.setattr(
        import_time,
        "in_turns",
        lambda ways, plan, **_: {name: Timing((times[name],), 0.0, 1.0) for name in ways},
    )
    rows = import_time.measure(Plan()).rows
    assert [(row.ratio, row.target, row.met) for row in rows] == [
        ("1.00x", "<= 1.15x", True),
        ("1.20x", "<= 1.15x", False),
    ]
