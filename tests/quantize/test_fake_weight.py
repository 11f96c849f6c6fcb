"""A weight in training has the values that it will have after it."""

from __future__ import annotations

import pytest
import torch

from tessera.quantize.fake_weight import FakeWeight
from tessera.quantize.formats import FORMATS
from tessera.quantize.quantized_tensor import Layout
from tessera.quantize.ranges import RANGES
from tests.quantize.plain import hostile


@pytest.mark.parametrize("layout", [Layout("tensor"), Layout("channel"), Layout("group", 8)], ids=str)
@pytest.mark.parametrize("name", FORMATS)
def test_values_are_those_of_the_codes(name, layout):
    for symmetric in (True, False) if FORMATS[name].integer else (True,):
        for what, weight in hostile().items():
            fake = FakeWeight(weight, FORMATS[name], layout, symmetric, None)
            assert torch.equal(fake.dequantize(), fake.quantized().dequantize()), what


def test_gradient_goes_straight_through():
    fake, upstream = FakeWeight(torch.randn(4, 6), FORMATS["int4"], Layout("channel"), True, None), torch.randn(4, 6)
    (fake.dequantize() * upstream).sum().backward()
    assert torch.equal(fake.original.grad, upstream)


def test_range_is_the_one_chosen():
    fake = FakeWeight(torch.randn(4, 60), FORMATS["int4"], Layout("channel"), True, RANGES["mse"])
    assert torch.equal(fake.dequantize(), fake.quantized().dequantize())
    assert torch.equal(fake.rows(torch.tensor([2, 0])), fake.dequantize()[[2, 0]])
