"""What every schedule is held to."""

from __future__ import annotations

import copy
import dataclasses
import json
from collections.abc import Callable
from typing import Any

import pytest
import torch

from tessera.errors import OptimizerError
from tessera.optim import constant
from tessera.optim.schedules.plain import as_plain, from_plain


def assert_is(schedule: Any, formula: Callable[[int], float], steps: int = 25, tolerance: float = 1e-14) -> None:
    """Its values are those of a function of a Python number; it takes many steps at once, and needs no data."""
    many = schedule(torch.arange(steps, dtype=torch.float64))
    for step in range(steps):
        value = schedule(torch.tensor(float(step), dtype=torch.float64))
        assert value.shape == ()
        assert value.dtype == torch.float64
        assert value.item() == pytest.approx(formula(step), rel=tolerance, abs=1e-16), f"at step {step}"
        assert many[step].item() == pytest.approx(value.item(), rel=1e-14, abs=1e-16)
    assert schedule(torch.empty((), device="meta", dtype=torch.float64)).shape == ()
    assert_is_plain_data(schedule)


def assert_is_plain_data(schedule: Any) -> None:
    """It prints, compares, hashes, and goes through JSON."""
    assert copy.deepcopy(schedule) == schedule
    assert hash(copy.deepcopy(schedule)) == hash(schedule)
    assert schedule != constant(7.0)
    assert repr(schedule).startswith(f"{type(schedule).__name__}({dataclasses.fields(schedule)[0].name}=")
    assert from_plain(json.loads(json.dumps(as_plain(schedule)))) == schedule


def assert_refused(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(OptimizerError) as caught:
        make()
    assert str(caught.value) == message


def torchs(make: Callable[[torch.optim.Optimizer], Any], lr: float, steps: int) -> list[float]:
    """The learning rates of the first steps under a scheduler of torch."""
    optimizer = torch.optim.SGD([torch.zeros((), requires_grad=True)], lr=lr)
    scheduler = make(optimizer)
    rates = []
    for _ in range(steps):
        rates.append(float(optimizer.param_groups[0]["lr"]))
        optimizer.step()
        scheduler.step()
    return rates
