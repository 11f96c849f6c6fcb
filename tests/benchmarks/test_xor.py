"""All ways to train XOR do the same steps."""

from __future__ import annotations

import pytest

from benchmarks import xor
from benchmarks.measure import Timing
from benchmarks.plan import Plan

STEPS = 40


@pytest.fixture(scope="module")
def reference():
    """The losses at the end of the first and the second repetition in PyTorch eager."""
    run = xor.by_eager(Plan(), STEPS, convert=True, read=True)
    return run(), run()


def both(run):
    return pytest.approx((run(), run()), rel=1e-5)


def test_the_loss_falls(reference):
    assert reference[1] != reference[0]


def test_samples_come_in_turn():
    x, y = xor.tensors(6, xor.network("cpu")[0].weight.device)
    assert x.tolist() == [[0, 0], [0, 1], [1, 0], [1, 1], [0, 0], [0, 1]]
    assert y.flatten().tolist() == [0, 1, 1, 0, 0, 1]


@pytest.mark.parametrize(("convert", "read"), [(False, True), (False, False)])
def test_eager_is_the_same_however_samples_are_made(reference, convert, read):
    assert reference == both(xor.by_eager(Plan(), STEPS, convert=convert, read=read))


@pytest.mark.parametrize(("convert", "read"), [(True, True), (False, False)])
def test_tessera_is_the_same(reference, convert, read):
    assert reference == both(xor.by_tessera(Plan(), STEPS, convert=convert, read=read))


@pytest.mark.parametrize("samples", [4, STEPS])
def test_fit_is_the_same(reference, samples):
    assert reference == both(xor.by_fit(Plan(), samples, STEPS // samples))


@pytest.mark.peers
@pytest.mark.parametrize(("convert", "read"), [("jax", True), ("numpy", True), ("", True), ("", False)])
def test_jax_is_the_same(reference, convert, read):
    assert reference == both(xor.by_jax(Plan(), STEPS, convert=convert, read=read))


@pytest.mark.peers
@pytest.mark.parametrize("samples", [4, STEPS])
def test_jax_scanning_an_epoch_is_the_same(reference, samples):
    assert reference == both(xor.by_jax_scan(Plan(), samples, STEPS // samples))


def test_every_row_is_there(monkeypatch):
    monkeypatch.setattr(xor, "in_turns", lambda ways, plan, **_: dict.fromkeys(ways, Timing((1.0,), 0.25, 1.0)))
    part = xor.measure(Plan())
    assert [(row.peer, row.target) for row in part.rows] == [
        (xor.EAGER, ">= 8x"),
        (xor.JAX, ">= 3.5x"),
        (xor.JAX_NUMPY, ""),
        (xor.JAX, ">= 1x"),
        (xor.JAX, ">= 1x"),
        (xor.JAX_SCAN, ">= 1x"),
        (xor.JAX_SCAN, ""),
    ]
    assert len({row.work for row in part.rows}) == 5
    assert all("40,000 steps" in row.work for row in part.rows)
