"""A quantized cache as a module: what it keeps, when it rounds, and how it moves and is saved."""

from __future__ import annotations

import copy

import pytest
import torch

from tessera.quantize.cache import CACHE_FORMATS, QuantizedCache, quantize_rows
from tessera.quantize.formats import FORMATS

# Half a step of the finest and the coarsest numbers of a row, relative to its largest.
HALF_STEP = {"int8": 0.5 / 127, "fp8_e4m3": 2**-4, "fp8_e5m2": 2**-3}


@pytest.mark.parametrize("form", CACHE_FORMATS)
def test_each_row_is_rounded_to_its_own_scale(form):
    values = torch.randn(2, 3, 5, 8) * torch.logspace(-3, 3, 5)[:, None]
    kept = QuantizedCache(values, FORMATS[form])
    largest = values.abs().amax(-1, keepdim=True)
    assert ((kept.dequantize() - values).abs() <= HALF_STEP[form] * largest).all()
    assert kept.codes.element_size() == 1
    assert kept.scale.shape == (2, 3, 5, 1)
    torch.testing.assert_close(kept.dequantize().abs().amax(-1, keepdim=True), largest)  # which is a code


@pytest.mark.parametrize("form", CACHE_FORMATS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_what_codes_stand_for_is_rounded_to_those_codes_again(form, dtype):
    values = torch.randn(200, 16).to(dtype)
    first = QuantizedCache(values, FORMATS[form]).dequantize()
    again = first
    for _ in range(20):  # as a window that moves by one place a call
        again = QuantizedCache(again, FORMATS[form]).dequantize()
    torch.testing.assert_close(again, first, rtol=2 * torch.finfo(dtype).eps, atol=0)


@pytest.mark.parametrize("form", CACHE_FORMATS)
def test_rows_that_nobody_wrote_keep_their_codes_and_scales(form):
    cache = QuantizedCache(torch.randn(6, 8), FORMATS[form])
    codes, scale = cache.codes.clone(), cache.scale.clone()
    for row in range(3):
        cache.enter()
        cache.values()[row] = torch.randn(8)
        cache.leave()
    assert torch.equal(cache.codes[3:].view(torch.int8), codes[3:].view(torch.int8))
    assert torch.equal(cache.scale[3:], scale[3:])
    assert not (cache.scale[:3] == scale[:3]).any()


def test_numbers_are_exact_until_the_forward_that_wrote_them_ends():
    cache, new = QuantizedCache(torch.zeros(2, 4), FORMATS["int8"]), torch.tensor([0.1, 0.2, 0.3, -0.05])
    cache.enter()
    cache.enter()
    cache.values()[0] = new
    assert torch.equal(cache.values()[0], new)
    cache.leave()
    assert not torch.equal(cache.values()[0], new)
    torch.testing.assert_close(cache.values()[0], new, rtol=0, atol=0.3 / 254 * 1.001)
    held = cache.values()  # by the outer forward, which hands it on
    cache.enter()
    cache.values()[1] = new
    cache.leave()
    assert torch.equal(held[1], new)
    cache.leave()
    assert not torch.equal(cache.dequantize()[1], new)
    assert cache.dequantize()[1].any()


def test_what_is_written_between_calls_counts():
    cache = QuantizedCache(torch.randn(2, 4), FORMATS["int8"])
    cache.values().zero_()
    assert not cache.state_dict()["codes"].any()
    cache.values().fill_(1)
    cache.enter()
    assert torch.equal(cache.values(), torch.ones(2, 4))


def test_not_a_number_and_infinity_stay_visible():
    values = torch.ones(3, 4)
    values[0, 1], values[1, 1] = float("nan"), float("inf")
    found = QuantizedCache(values, FORMATS["int8"]).dequantize()
    assert found.isfinite().all(1).tolist() == [False, False, True]


def test_it_moves_and_is_saved_as_codes():
    cache = QuantizedCache(torch.randn(2, 3, 4), FORMATS["int8"])
    before = cache.dequantize()
    cache.values()[0] = 7
    twin = copy.deepcopy(cache).bfloat16()
    assert (twin.dequantize().dtype, twin.codes.dtype, twin.scale.dtype) == (
        *(torch.bfloat16, torch.int8, torch.float32),
    )
    assert (twin.dequantize()[0] == 7).all()
    other = QuantizedCache(torch.zeros(2, 3, 4), FORMATS["int8"])
    other.values()[1] = 3
    other.load_state_dict(cache.state_dict())
    assert (other.dequantize()[0] == 7).all()
    assert torch.equal(other.dequantize()[1], before[1])
    assert list(QuantizedCache(torch.zeros(2, 2), FORMATS["int8"], persistent=False).state_dict()) == []


def test_rows_of_zeros():
    codes, scale = quantize_rows(torch.zeros(2, 4), FORMATS["int8"])
    assert not codes.any()
    assert scale.isfinite().all()
