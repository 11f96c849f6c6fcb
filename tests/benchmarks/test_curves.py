from __future__ import annotations

import pytest
import torch

from benchmarks import curves
from benchmarks.plan import Plan

CPU = torch.device("cpu")


def test_batches_are_the_same_every_time_and_of_the_dtype():
    job = curves.mlp_with_dropout()
    (x, y), (again, _) = next(job.batches(1, torch.float64, CPU)), next(job.batches(1, torch.float64, CPU))
    assert torch.equal(x, again)
    assert (x.dtype, y.dtype) == (torch.float64, torch.int64)
    assert next(job.batches(1, torch.float32, CPU))[0].dtype == torch.float32


def test_a_curve_is_that_of_a_few_steps():
    absolute, relative = curves.differences(curves.mlp_with_dropout(), 4, torch.float64, CPU)
    assert len(absolute) == len(relative) == 4
    assert max(absolute) <= curves.LIMIT_FP64


def test_another_curve_is_seen(monkeypatch):
    monkeypatch.setattr(curves, "curve", lambda *_, compiled: [2.0, 1.5] if compiled else [2.0, 1.0])
    assert curves.differences(curves.mlp_with_dropout(), 2, torch.float64, CPU) == ([0.0, 0.5], [0.0, 0.5])


@pytest.mark.slow
@pytest.mark.parametrize("make", curves.JOBS.values(), ids=curves.JOBS)
def test_every_job_follows_eager(make):
    assert max(curves.differences(make(), 5, torch.float64, CPU)[0]) <= curves.LIMIT_FP64


def test_every_row_is_there(monkeypatch):
    monkeypatch.setattr(curves, "differences", lambda job, steps, dtype, device: ([1e-8], [1e-8]))
    rows = curves.measure(Plan()).rows
    assert [(row.peer, row.target, row.met) for row in rows] == [
        *((name, "<= 1e-09", False) for name in curves.JOBS),
        *((name, "<= 1e-05", True) for name in curves.JOBS),
    ]
