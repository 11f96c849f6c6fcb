"""All ways to train on images compute the same losses."""

from __future__ import annotations

import pytest

from benchmarks import images
from benchmarks.image_models import Residuals
from benchmarks.measure import Absent, Timing
from benchmarks.plan import Plan

WORKS = {
    "resnet": images.resnet(Residuals((8, 16), (1, 1)), batch=4),
    "vit": images.vit(1, 24, 3, 4),
    "mlp": images.mlp(16, 8),
}


@pytest.fixture(scope="module", params=WORKS.values(), ids=list(WORKS))
def work(request):
    return request.param


@pytest.fixture(scope="module")
def reference(work):
    """The losses after one and two repetitions in PyTorch eager."""
    run = images.by_torch(Plan(), work, compiled=False)
    return run(), run()


def both(run):
    return run(), run()


def test_the_loss_falls(reference):
    assert reference[1] < reference[0]


def test_tessera_is_the_same(work, reference):
    assert both(images.by_tessera(Plan(), work)) == pytest.approx(reference, rel=1e-4)


def test_low_precision_is_near(work, reference):
    assert both(images.by_tessera(Plan(), work, precision="auto")) == pytest.approx(reference, rel=0.01)
    assert both(images.by_torch(Plan(), work, compiled=False, autocast=True)) == pytest.approx(reference, rel=0.01)


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # what torch warns of while it compiles is not ours
def test_torch_compile_is_the_same(work, reference):
    assert both(images.by_torch(Plan(), work)) == pytest.approx(reference, rel=1e-4)


def test_the_best_peer_is_the_fastest():
    slow, fast = Timing((2.0,), 0.0, 0.0), Timing((1.0,), 0.0, 0.0)
    assert images.best([slow, Absent("not installed"), fast]) is fast


def test_every_row_is_there(monkeypatch):
    monkeypatch.setattr(images, "in_turns", lambda ways, plan, **_: dict.fromkeys(ways, Timing((1.0,), 2.0, 1.0)))
    rows = images.measure(Plan()).rows
    assert [row.target for row in rows if row.peer == images.BEST] == [">= 1.15x"] * len(WORKS)
    assert {row.peer for row in rows} == {
        images.BEST,
        images.EAGER,
        images.COMPILED,
        images.COMPILED_BF16,
        images.JAX,
        images.JAX_BF16,
    }
