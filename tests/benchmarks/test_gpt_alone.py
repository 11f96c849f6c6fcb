from __future__ import annotations

import pytest

from benchmarks import gpt, gpt_alone
from benchmarks.alone import Alone
from benchmarks.measure import Timing
from benchmarks.plan import Plan, on_stderr

SIZE = gpt.Size(layers=1, dim=32, heads=2, length=16, batch=2, vocabulary=64)


def test_every_row_is_there(monkeypatch):
    monkeypatch.setattr(gpt_alone, "alone", lambda make, plan, **_: Alone(Timing((1.0,), 9.0, 1.0), 1 << 20))
    rows = gpt_alone.measure(Plan()).rows
    assert [(row.peer, row.target, row.met) for row in rows] == [
        (gpt.JAX, "<= 0.35x", False),
        (gpt.TORCH_BF16, "<= 0.8x", False),
        (gpt.EAGER, "<= 0.4x", False),
        (gpt.EAGER, ">= 1.5x", False),
    ]


@pytest.mark.slow
def test_all_of_it_can_be_sent_to_a_process(monkeypatch):
    monkeypatch.setattr(gpt_alone, "SMALL", SIZE)
    monkeypatch.setattr(gpt_alone, "WIDE", SIZE)
    rows = gpt_alone.measure(Plan(quick=True, say=on_stderr())).rows
    assert all(row.ours.endswith(("MiB", "%")) for row in rows)
