from __future__ import annotations

import pytest

from benchmarks import fit, mlp
from benchmarks.plan import Plan

SIZE = mlp.Size(inputs=12, hidden=16, classes=4, batch=8, batches=5, epochs=2)


def test_both_do_the_same_work():
    ours, by_hand = fit.by_fit(Plan(), SIZE), fit.by_hand(Plan(), SIZE)
    for _ in range(2):
        assert ours() == pytest.approx(by_hand(), rel=1e-6)


def test_there_is_a_row_for_each_size(monkeypatch):
    monkeypatch.setattr(fit, "SIZES", {"small": SIZE})
    (row,) = fit.measure(Plan(quick=True)).rows
    assert (row.peer, row.target) == (fit.BY_HAND, "<= 1.03x")
    assert row.ratio.endswith("x")
