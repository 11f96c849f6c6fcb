"""GPTQ: against its definition written out, and better than rounding on its inputs."""

from __future__ import annotations

import pytest
import torch

from tessera.quantize.formats import FORMATS
from tessera.quantize.methods.gptq import gptq
from tessera.quantize.quantized_tensor import Layout, quantize_tensor


def inputs(rows=200, wide=24):
    return torch.randn(rows, wide) @ torch.randn(wide, wide)  # channels that depend on each other


def lost(weight, made, x):
    return ((made.dequantize(torch.float64) - weight.double()) @ x.double().T).norm().item()


@pytest.mark.parametrize(
    "layout", [Layout("channel"), Layout("group", 8), Layout("group", 7), Layout("tensor")], ids=str
)
@pytest.mark.parametrize(("name", "symmetric"), [("int4", True), ("int4", False), ("int8", True), ("nf4", True)])
def test_loses_less_than_rounding(name, symmetric, layout):
    weight, x = torch.randn(16, 24), inputs()
    made = gptq(weight, x.T @ x, FORMATS[name], layout, symmetric=symmetric)
    plain = quantize_tensor(weight, FORMATS[name], layout, symmetric=symmetric)
    assert (made.scale.shape, made.codes.shape, made.codes.dtype) == (
        plain.scale.shape,
        plain.codes.shape,
        plain.codes.dtype,
    )
    assert lost(weight, made, x) < lost(weight, plain, x)


def test_is_the_update_of_the_paper_one_column_at_a_time():
    weight, x, form = torch.randn(5, 9), inputs(50, 9), FORMATS["int4"]
    gram = (x.T @ x).double()
    curvature = gram + 0.01 * gram.diagonal().mean() * torch.eye(9)
    scale = (weight.abs().amax(1) / 7).double()
    left = weight.double().clone()
    for column in range(9):
        code = (left[:, column] / scale).round().clamp(-7, 7)
        error = left[:, column] - code * scale
        inverse = torch.linalg.inv(curvature[column:, column:])  # of what is still free
        left[:, column] = code * scale
        left[:, column + 1 :] -= torch.outer(error / inverse[0, 0], inverse[0, 1:])
    made = gptq(weight, gram, form, Layout("channel"))
    torch.testing.assert_close(made.dequantize(torch.float64), left, rtol=1e-5, atol=1e-6)


def test_inputs_that_do_not_depend_on_each_other_are_rounded():
    weight = torch.randn(4, 6)
    made = gptq(weight, torch.eye(6), FORMATS["int4"], Layout("channel"))
    assert torch.equal(made.codes, quantize_tensor(weight, FORMATS["int4"], Layout("channel")).codes)


@pytest.mark.parametrize(
    "gram", [torch.zeros(6, 6), torch.diag(torch.tensor([1.0, 0, 0, 2, 0, 0]))], ids=["none", "some"]
)
def test_channels_that_never_spoke_are_rounded(gram):
    weight = torch.randn(4, 6)
    made = gptq(weight, gram, FORMATS["int8"], Layout("channel"))
    assert (made.dequantize() - weight).abs().max() <= made.scale.max() * 0.51
