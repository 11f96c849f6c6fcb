"""All ways to train the GPT compute the same losses."""

from __future__ import annotations

import time

import pytest
import torch

from benchmarks import gpt
from benchmarks.measure import NotMeasured, Timing
from benchmarks.plan import Plan

SIZE = gpt.Size(layers=1, dim=32, heads=2, length=16, batch=2, vocabulary=64)


@pytest.fixture(scope="module")
def reference():
    """The losses after one and two repetitions in PyTorch eager."""
    run = gpt.by_torch(Plan(), SIZE, compiled=False)
    return run(), run()


def both(run):
    return pytest.approx((run(), run()), rel=1e-5)


def test_the_loss_falls(reference):
    assert reference[1] < reference[0]


def test_tessera_is_the_same(reference):
    assert reference == both(gpt.by_tessera(Plan(), SIZE))


@pytest.mark.slow
@pytest.mark.parametrize(
    "how", [{}, {"compiled_update": True}, {"mode": "max-autotune"}], ids=["fused", "compiled", "autotune"]
)
@pytest.mark.filterwarnings("default")  # what torch warns of while it compiles is not ours
def test_torch_compile_is_the_same(reference, how):
    assert reference == both(gpt.by_torch(Plan(), SIZE, **how))


def test_low_precision_is_near(reference):
    assert gpt.by_tessera(Plan(), SIZE, precision="auto")() == pytest.approx(reference[0], rel=0.01)
    assert gpt.by_torch(Plan(), SIZE, compiled=False, autocast=True)() == pytest.approx(reference[0], rel=0.01)


def test_targets_are_the_next_tokens():
    x, y = gpt.batch(SIZE, torch.device("cpu"))
    assert x.shape == y.shape == (2, 16)
    assert torch.equal(x[:, 1:], y[:, :-1])


def test_what_takes_long_is_left_out_when_there_is_no_time():
    short = Plan(limit_s=100.0, started=time.perf_counter())
    with pytest.raises(NotMeasured, match="left out: less than 150 s left"):
        gpt.by_torch(short, SIZE, mode="max-autotune")


def test_every_row_is_there(monkeypatch):
    monkeypatch.setattr(gpt, "in_turns", lambda ways, plan, **_: dict.fromkeys(ways, Timing((1.0,), 9.0, 1.0)))
    rows = gpt.measure(Plan()).rows
    plain, lowered = [row for row in rows if "fp32" in row.work], [row for row in rows if "auto" in row.work]
    assert len(plain) + len(lowered) == len(rows)
    assert {row.peer: row.target for row in plain} == {
        **dict.fromkeys([gpt.FUSED, gpt.COMPILED, gpt.JAX], ">= 1.1x"),
        **dict.fromkeys([gpt.EAGER, gpt.MAX_AUTOTUNE, gpt.TORCH_BF16, gpt.JAX_BF16], ""),
    }
    assert {row.peer: row.target for row in lowered} == {
        gpt.TORCH_BF16: ">= 1.3x",
        gpt.JAX: ">= 3.6x",
        gpt.JAX_BF16: ">= 3x",
    }
