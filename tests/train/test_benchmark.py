from __future__ import annotations

import time

import pytest
import torch

from tessera.train.benchmark import Timing, benchmark


def test_a_timing_is_a_number():
    timing = Timing.of([3.0, 1.0, 2.0, 9.0, 2.5])
    assert timing == 2.5
    assert timing < 5
    assert (timing.min, timing.max, timing.runs) == (1.0, 9.0, 5)
    assert str(timing) == "2.5 ms (median of 5 runs, 1 to 9)"
    assert f"{timing:.1f}" == "2.5"


def test_the_time_is_in_milliseconds():
    timing = benchmark(time.sleep, 0.002, warmup=0, min_time_s=0.05)
    assert 2 <= timing < 20
    assert timing.min <= timing <= timing.max
    assert 5 <= timing.runs <= 25


def test_short_calls_are_timed_together():
    calls = []
    timing = benchmark(calls.append, 1, min_time_s=0.01)
    assert 0 < timing < 0.01
    assert len(calls) > 3 * timing.runs


def test_the_first_calls_do_not_count():
    durations = iter([0.05, 0.05] + [0.0] * 10**6)
    timing = benchmark(lambda: time.sleep(next(durations)), warmup=2, min_time_s=0.01)
    assert timing.max < 50


def test_a_module_is_timed_as_it_serves():
    class Watching(torch.nn.Module):
        def forward(self, x, *, scale):
            assert not self.training
            assert not torch.is_grad_enabled()
            return x * scale

    module = Watching()
    assert benchmark(module, torch.ones(2), scale=2.0, min_time_s=0.01) > 0
    assert module.training


def test_a_function_is_called_as_it_is():
    module = torch.nn.Dropout()

    def step():
        assert module.training
        assert torch.is_grad_enabled()

    assert benchmark(step, min_time_s=0.001) > 0


def test_an_error_leaves_the_mode():
    module = torch.nn.Linear(2, 2)
    with pytest.raises(RuntimeError, match="shape"):
        benchmark(module, torch.zeros(3, 3))
    assert module.training
