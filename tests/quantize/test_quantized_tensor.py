"""Weights there and back: no number is further away than the format allows, for all formats, cuts and hard weights."""

from __future__ import annotations

import pytest
import torch

from tessera.errors import QuantizeError
from tessera.quantize.formats import FORMATS
from tessera.quantize.quantized_tensor import Layout, quantize_tensor
from tests.quantize.plain import hostile, largest_gap, pieces_of

CUTS = (("tensor", 0), ("channel", 0), ("group", 1), ("group", 5), ("group", 32), ("group", 1000))


@pytest.mark.parametrize("symmetric", [True, False], ids=["symmetric", "zero point"])
@pytest.mark.parametrize(("per", "group"), CUTS)
@pytest.mark.parametrize("name", FORMATS)
def test_round_trip_stays_within_half_a_step(name, per, group, symmetric):
    form = FORMATS[name]
    if not symmetric and not form.integer:
        symmetric = True  # rules refuse it
    for what, weight in hostile().items():
        made = quantize_tensor(weight, form, Layout(per, group), symmetric=symmetric)
        found = made.dequantize()
        assert (found.shape, found.dtype) == (weight.shape, weight.dtype)
        assert found.isfinite().all(), what
        exact = made.dequantize(torch.float64)
        for piece in pieces_of(weight, per, group) if weight.numel() else []:
            values = [float(weight[place]) for place in piece]
            allowed = largest_gap(name, values, symmetric=symmetric) + torch.finfo(torch.float32).tiny
            for place, value in zip(piece, values, strict=True):
                assert abs(float(exact[place]) - value) <= allowed * 1.0001, (what, place)


@pytest.mark.parametrize("name", FORMATS)
def test_zeros_stay_zeros(name):
    form = FORMATS[name]
    weight = torch.randn(3, 20) + 4
    weight[:, ::3] = 0
    for symmetric in (True, False) if form.integer else (True,):
        found = quantize_tensor(weight, form, Layout("group", 7), symmetric=symmetric).dequantize()
        assert (found[:, ::3] == 0).all()


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize(("per", "group"), CUTS)
def test_rows_are_those_of_the_whole(name, per, group):
    made = quantize_tensor(torch.randn(6, 13), FORMATS[name], Layout(per, group))
    index = torch.tensor([[5, 0], [3, 3]])
    assert torch.equal(made.rows(index), made.dequantize()[index])
    assert made.rows(torch.zeros(0, 2, dtype=torch.long)).shape == (0, 2, 13)


def test_four_bits_take_half_a_byte():
    made = quantize_tensor(torch.randn(8, 64), FORMATS["int4"], Layout("group", 32))
    assert (made.codes.dtype, made.codes.numel(), made.scale.shape) == (torch.uint8, 8 * 32, (8, 2))


@pytest.mark.parametrize("name", FORMATS)
def test_moving_to_another_dtype_changes_no_code(name):
    made = quantize_tensor(torch.randn(4, 10), FORMATS[name], Layout("channel"))
    before = made.dequantize()
    moved = made.half()
    assert moved.dequantize().dtype == torch.float16
    assert torch.equal(moved.dequantize(torch.float32), before)


def test_state_is_restored():
    form, layout = FORMATS["int4"], Layout("group", 8)
    first, second = (quantize_tensor(torch.randn(4, 24), form, layout, symmetric=False) for _ in range(2))
    second.load_state_dict(first.state_dict())
    assert torch.equal(first.dequantize(), second.dequantize())


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_weights_that_are_not_finite_are_refused(bad):
    weight = torch.randn(3, 5)
    weight[1, 2] = bad
    with pytest.raises(QuantizeError, match="A weight holds NaN or infinity"):
        quantize_tensor(weight, FORMATS["int8"], Layout("channel"))


def test_what_would_round_to_infinity_is_refused():
    with pytest.raises(QuantizeError, match="rounds up to infinity"):
        quantize_tensor(torch.tensor([[3e38, 1.0]]), FORMATS["mxfp4"], Layout("channel"))


def test_complex_weights_are_refused():
    with pytest.raises(QuantizeError, match="complex64"):
        quantize_tensor(torch.randn(3, 5, dtype=torch.complex64), FORMATS["int8"], Layout("channel"))
