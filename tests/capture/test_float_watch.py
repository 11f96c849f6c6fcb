from __future__ import annotations

import math

import pytest
import torch

import tessera
from tessera.capture.float_watch import NEGATIVE_ZERO, TOO_LARGE, refuse_odd_floats
from tessera.capture.step_down import RunsEagerlyOnce

OFFSET = 0.0


def scaled(x, k):
    return x * k, -k


def test_floats_that_a_capture_would_take_for_others_run_as_plain_python():
    f, x = tessera.compile(scaled), torch.arange(3.0)
    for k in (1.0, 2.0, 0.0, -0.0, 3.0, -0.0, 1e308, 4.0):
        (expected, number), (found, result) = scaled(x, k), f(x, k)
        torch.testing.assert_close(found, expected, rtol=0, atol=0, equal_nan=True)
        assert str(result) == str(number)
    assert [s.reason for s in f.report.step_downs] == [NEGATIVE_ZERO, TOO_LARGE]
    assert len(f.report.compilations) == 2


def test_a_float_beyond_float32_raises_what_pytorch_raises():
    f = tessera.compile(lambda x, k: x.clamp(max=k))
    with pytest.raises(RuntimeError, match="cannot be converted to type float without overflow"):
        f(torch.arange(3.0), 1e308)


def test_a_global_that_becomes_minus_zero(monkeypatch):
    f = tessera.compile(lambda x: (x, math.copysign(1.0, OFFSET)))
    signs = []
    for value in (0.0, -0.0, 0.0):
        monkeypatch.setitem(globals(), "OFFSET", value)
        signs.append(f(torch.ones(2))[1])
    assert signs == [1.0, -1.0, 1.0]


def test_one_odd_number_costs_a_training_step_nothing_later():
    class Scaled(torch.nn.Linear):
        def forward(self, x, k):
            return super().forward(x) * k

    model = Scaled(2, 1)
    step = tessera.train_step(model, "mse", torch.optim.SGD(model.parameters(), lr=0.1))
    for k in (1.0, -0.0, 2.0, 3.0):
        step(torch.ones(4, 2), k, torch.ones(4, 1))
    assert step.report.rung == "whole step in one Program"
    assert [s.reason for s in step.report.step_downs] == [NEGATIVE_ZERO]


def test_arguments_are_looked_at_wherever_they_are():
    refuse_odd_floats([1.0, {"a": [0.0, math.inf, math.nan]}, 0, 10**400])
    for value, reason in ((-0.0, NEGATIVE_ZERO), (1e39, TOO_LARGE)):
        with pytest.raises(RunsEagerlyOnce, match=reason):
            refuse_odd_floats([1.0, {"a": [value]}])


def test_a_float_beyond_float16_raises_what_pytorch_raises():
    f, x = tessera.compile(lambda x, k: (x.clamp(max=k), x * k)), torch.ones(3, dtype=torch.float16)
    for k in (1.0, 2.0, 3.0, 1e5, 4.0, math.inf):
        if k == 1e5:
            with pytest.raises(RuntimeError, match="cannot be converted to type"):
                f(x, k)
        else:
            assert f(x, k)[1].tolist() == [k] * 3
    assert f(x.float(), 1e5)[1].tolist() == [1e5] * 3
    assert [s.reason for s in f.report.step_downs] == [TOO_LARGE]


def test_a_parameter_of_float16_and_a_float_that_changes():
    weight = torch.ones(3, dtype=torch.float16)
    f = tessera.compile(lambda k: weight.clamp(max=k))
    for k in (0.5, 2.0, 3.0):
        assert f(k).tolist() == [min(k, 1)] * 3
    with pytest.raises(RuntimeError, match="cannot be converted to type"):
        f(1e5)
