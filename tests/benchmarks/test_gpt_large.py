from __future__ import annotations

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import gpt, gpt_large
from benchmarks.alone import Alone
from benchmarks.measure import Absent, Timing
from benchmarks.plan import Plan

SMALL = gpt.Size(layers=2, dim=32, heads=2, length=16, batch=2, vocabulary=64)


def test_it_has_1_3_billion_parameters():
    with torch.device("meta"):
        model = gpt.GPT(gpt_large.LARGE)
    assert 1.25e9 < sum(p.numel() for p in model.parameters()) < 1.45e9


def test_the_operations_are_those_that_torch_counts():
    model, (x, y) = gpt.model(SMALL, torch.device("cpu")), gpt.batch(SMALL, torch.device("cpu"))
    with (
        FlopCounterMode(display=False) as counter,
        torch.nn.attention.sdpa_kernel([torch.nn.attention.SDPBackend.MATH]),
    ):
        gpt.cross_entropy(model(x), y).backward()
    assert gpt_large.flops(SMALL) == pytest.approx(counter.get_total_flops(), rel=0.02)


def test_every_row_is_there(monkeypatch):
    monkeypatch.setattr(gpt_large, "product_peak", lambda plan: 1e9)
    alone = Alone(Timing((1.0,), 9.0, 1.0), 1 << 20)
    monkeypatch.setattr(gpt_large, "alone", lambda make, plan, **_: alone)
    rows = gpt_large.measure(Plan(), SMALL).rows
    assert [(row.peer, row.target) for row in rows if row.target] == [
        (gpt_large.MAX_AUTOTUNE, ">= 1.15x"),
        (gpt_large.JAX, ">= 3x"),
        (gpt_large.MAX_AUTOTUNE, "<= 0.75x"),
        (gpt_large.JAX, "<= 0.58x"),
        ("a product of 8192 x 8192 matrices, bf16", ">= 0.6x"),
    ]
    assert len(rows) == 11


def test_the_share_is_that_of_the_measured_peak(monkeypatch):
    monkeypatch.setattr(gpt_large, "product_peak", lambda plan: 2 * gpt_large.flops(SMALL))
    row = gpt_large.share(Plan(), "step", SMALL, Alone(Timing((1.0,), 9.0, 1.0), 0))
    assert (row.ratio, row.met) == ("0.50x", False)
    assert gpt_large.share(Plan(), "step", SMALL, Absent("failed")).met is False


def test_a_product_has_a_peak():
    assert gpt_large.product_peak(Plan(), 64) > 0
