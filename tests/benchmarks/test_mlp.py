from __future__ import annotations

import pytest

from benchmarks import mlp
from benchmarks.measure import Timing
from benchmarks.plan import Plan

SIZE = mlp.Size(inputs=12, hidden=16, classes=4, batch=8, batches=5, epochs=2)


@pytest.fixture(scope="module")
def reference():
    run = mlp.by_hand(Plan(), SIZE, way=mlp.EAGER, shuffle=False)
    return run(), run()


def test_the_loss_falls(reference):
    assert reference[1] < reference[0]


def test_fit_is_the_same(reference):
    run = mlp.by_fit(Plan(), SIZE, shuffle=False)
    assert (run(), run()) == pytest.approx(reference, rel=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("way", [mlp.FUSED, mlp.COMPILED])
@pytest.mark.filterwarnings("default")  # what torch warns of while it compiles is not ours
def test_torch_compile_is_the_same(reference, way):
    run = mlp.by_hand(Plan(), SIZE, way=way, shuffle=False)
    assert (run(), run()) == pytest.approx(reference, rel=1e-5)


def test_shuffled_epochs_see_every_sample(reference):
    run = mlp.by_hand(Plan(), SIZE, way=mlp.EAGER)
    assert run() == reference[0]  # the first goes in order: its answer is compared
    assert run() == pytest.approx(reference[1], rel=0.05)


def test_every_row_is_there(monkeypatch):
    monkeypatch.setattr(mlp, "in_turns", lambda ways, plan, **_: dict.fromkeys(ways, Timing((1.0,), 2.0, 1.0)))
    rows = mlp.measure(Plan()).rows
    assert {row.peer: row.target for row in rows} == {mlp.FUSED: ">= 1x", mlp.COMPILED: ">= 1x", mlp.EAGER: ""}
