"""Rounding to a format is what torch does."""

from __future__ import annotations

import math
import random

import pytest
import torch

from tessera.backend.ranges.formats import format_of

DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_a_number_is_rounded_as_torch_rounds_it(dtype):
    form, draw = format_of(dtype), random.Random(0)
    numbers = [draw.choice((-1, 1)) * draw.random() * 10.0 ** draw.uniform(-50, 45) for _ in range(2000)]
    numbers += [0.0, -0.0, math.inf, form.largest, 65519.9, 65520.0, *(form.smallest / by for by in (1, 2, 2.1))]
    for number in numbers:
        assert form.round(number) == torch.tensor(number, dtype=torch.float64).to(dtype).item(), number
    assert math.isnan(form.round(math.nan))


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_the_limits_are_those_of_torch(dtype):
    form, information = format_of(dtype), torch.finfo(dtype)
    assert (form.largest, form.epsilon) == (information.max, information.eps)
    assert form.round(form.smallest) == form.smallest
    assert form.round(form.smallest * 0.49) == 0
    below, above = (torch.tensor(form.largest_exponent * by, dtype=torch.float64) for by in (0.999, 1.001))
    assert below.exp().to(dtype).isfinite()
    assert above.exp().to(dtype).isinf()
    assert torch.tensor(form.smallest_exponent * 1.01, dtype=torch.float64).exp().to(dtype) == 0


def test_what_is_no_floating_number_has_no_format():
    assert format_of(torch.int64) is None
    assert format_of(None) is None
