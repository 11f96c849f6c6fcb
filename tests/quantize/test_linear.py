"""The integer product says what the dequantized numbers say, also compiled, and gradients reach the input."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from tessera.quantize.activation import ActivationQuantizer
from tessera.quantize.formats import FORMATS
from tessera.quantize.layer import install
from tessera.quantize.quantized_tensor import Layout, quantize_tensor


def quantized(wide=24, out=5, name="int8", layout=None, act="int8", limits=None, bias=True, smoothing=None):
    layer = torch.nn.Linear(wide, out, bias=bias).eval()
    weight = layer.weight.detach() * (1 if smoothing is None else smoothing)
    made = quantize_tensor(weight, FORMATS[name], layout or Layout("channel"))
    activation = None if act is None else ActivationQuantizer(FORMATS[act], limits, symmetric=False)
    install(layer, {"weight": made}, activation, smoothing)
    return layer, made, activation


def expected(layer, made, activation, x):
    x = x.double() if layer.smoothing is None else x.double() / layer.smoothing
    x = x if activation is None else activation(x.float()).double()
    return F.linear(x, made.dequantize(torch.float64), None if layer.bias is None else layer.bias.double())


@pytest.mark.parametrize("limits", [None, (-1.0, 3.0)], ids=["dynamic", "static"])
@pytest.mark.parametrize("shape", [(24,), (1, 24), (7, 24), (2, 3, 24), (0, 24), (2, 0, 24)], ids=str)
@pytest.mark.parametrize(
    ("name", "layout"),
    [
        ("int8", Layout("channel")),
        ("int8", Layout("tensor")),
        ("int8", Layout("group", 7)),
        ("int4", Layout("group", 8)),
        ("int4", Layout("group", 1)),
        ("nf4", Layout("group", 16)),
        ("fp8_e4m3", Layout("channel")),
    ],
    ids=str,
)
def test_is_the_product_of_the_dequantized_numbers(name, layout, shape, limits):
    layer, made, activation = quantized(name=name, layout=layout, limits=limits)
    x = torch.randn(shape)
    with torch.no_grad():
        found = layer(x)
    wanted = expected(layer, made, activation, x)
    assert found.shape == wanted.shape
    assert found.dtype == x.dtype
    torch.testing.assert_close(found.double(), wanted, rtol=1e-5, atol=1e-5)


def test_weights_alone_leave_the_input_as_it_is():
    layer, made, _ = quantized(act=None, bias=False)
    x = torch.randn(3, 24)
    assert torch.equal(layer(x), F.linear(x, made.dequantize()))


def test_smoothing_is_taken_off_the_input():
    smoothing = torch.rand(24) + 0.5
    layer, made, activation = quantized(smoothing=smoothing)
    x = torch.randn(4, 24)
    with torch.no_grad():
        torch.testing.assert_close(layer(x).double(), expected(layer, made, activation, x), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(layer.weight, made.dequantize() / smoothing)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64], ids=str)
def test_answers_in_the_dtype_of_the_input(dtype):
    layer, made, activation = quantized()
    x = torch.randn(3, 24, dtype=dtype)
    with torch.no_grad():
        found = layer.to(dtype)(x)
    assert found.dtype == dtype
    wanted = expected(layer, made, activation, x)
    torch.testing.assert_close(found.double(), wanted, rtol=2e-2, atol=2e-2)


def test_a_row_with_nan_answers_nan_and_no_other_row():
    layer, *_ = quantized()
    x = torch.randn(3, 24)
    x[1, 4] = float("nan")
    with torch.no_grad():
        found = layer(x)
    assert found[1].isnan().all()
    assert found[[0, 2]].isfinite().all()


def test_gradient_is_that_of_the_dequantized_weight():
    layer, made, _ = quantized()
    x = torch.randn(3, 24, requires_grad=True)
    layer(x).sum().backward()
    torch.testing.assert_close(x.grad, made.dequantize().sum(0).expand(3, 24))
