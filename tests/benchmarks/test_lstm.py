"""All ways to train an LSTM compute the same losses."""

from __future__ import annotations

import pytest

from benchmarks import images, lstm
from benchmarks.measure import Timing
from benchmarks.plan import Plan

WORK = lstm.lstm(5, 8, 2, 4)


@pytest.fixture(scope="module")
def reference():
    """The losses after one and two repetitions in PyTorch eager."""
    run = images.by_torch(Plan(), WORK, compiled=False)
    return run(), run()


def test_tessera_is_the_same(reference):
    run = images.by_tessera(Plan(), WORK)
    assert (run(), run()) == pytest.approx(reference, rel=1e-5)
    assert reference[1] < reference[0]


@pytest.mark.peers
def test_jax_is_the_same(reference):
    run = images.by_jax(Plan(), WORK)
    assert (run(), run()) == pytest.approx(reference, rel=1e-4)


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # what torch warns of while it compiles is not ours
def test_torch_compile_is_the_same(reference):
    run = images.by_torch(Plan(), WORK)
    assert (run(), run()) == pytest.approx(reference, rel=1e-4)


def test_every_row_is_there(monkeypatch):
    monkeypatch.setattr(lstm, "in_turns", lambda ways, plan, **_: dict.fromkeys(ways, Timing((1.0,), 2.0, 1.0)))
    monkeypatch.setattr(lstm, "by_tessera", lambda *_: lambda: 1.0)
    rows = lstm.measure(Plan()).rows
    assert [row.target for row in rows if row.peer == lstm.BEST] == [">= 1.1x"] * 3
    assert {row.peer for row in rows} == {lstm.BEST, lstm.EAGER, lstm.COMPILED, lstm.JAX, ""}
    assert rows[-1].target == "<= 1.5x"
