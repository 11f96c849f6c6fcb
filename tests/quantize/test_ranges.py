"""Ranges: each is held to what it promises to be best at."""

from __future__ import annotations

import pytest
import torch

from tessera.quantize.formats import FORMATS
from tessera.quantize.quantized_tensor import Layout, quantize_tensor
from tessera.quantize.ranges import RANGES


def weights(outliers: bool = True) -> torch.Tensor:
    made = torch.randn(3, 4000, generator=torch.Generator().manual_seed(3))
    if outliers:
        made[:, 0] = 40.0
    return made


@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("name", RANGES)
def test_lies_inside_of_the_values(name, symmetric):
    pieces = weights().double().unsqueeze(1)
    least, largest = RANGES[name](pieces, FORMATS["int8"], symmetric)
    assert least.shape == largest.shape == (3, 1)
    assert (least >= pieces.amin(-1)).all()
    assert (largest <= pieces.amax(-1)).all()
    assert (least <= largest).all()


@pytest.mark.parametrize("name", ["int8", "int4"])
@pytest.mark.parametrize("symmetric", [True, False])
def test_mse_has_the_least_squared_error_of_all(name, symmetric):
    weight, form = weights(), FORMATS[name]
    errors = {
        how: (
            quantize_tensor(weight, form, Layout("channel"), symmetric=symmetric, choose=choose).dequantize() - weight
        )
        .square()
        .mean()
        .item()
        for how, choose in RANGES.items()
    }
    assert errors["mse"] <= min(errors["min-max"], errors["percentile"]) * 1.001


@pytest.mark.parametrize("name", ["percentile", "mse", "entropy", "rms"])
def test_an_outlier_is_cut_off_in_four_bits(name):
    _, largest = RANGES[name](weights().double().unsqueeze(1), FORMATS["int4"], True)
    assert (largest < 40).all()


@pytest.mark.parametrize("name", RANGES)
@pytest.mark.parametrize("value", [0.0, -3.0, 1e-40, 3e38])
def test_constants_stay_finite(name, value):
    least, largest = RANGES[name](torch.full((2, 1, 9), value).double(), FORMATS["int8"], False)
    assert least.isfinite().all()
    assert largest.isfinite().all()
