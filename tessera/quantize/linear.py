"""The product with a quantized weight."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import torch
import torch.nn.functional as F

from tessera import torch_internals
from tessera.quantize.activation import ActivationQuantizer
from tessera.quantize.quantized_tensor import QuantizedTensor

_LONGEST_SUM = 2**31 // (128 * 128) - 1  # terms of a product of int8 that int32 surely holds
_MOST_GROUPS = 8  # of a channel: each is a product of its own
_written = ContextVar("_written", default=False)


@contextmanager
def integer_products_written() -> Iterator[None]:
    """Around the export to a format that has a product of integers, where products are traced as they are computed.

    Only those whose scale is found at run time: calibrated ones are told to a runtime by the operators for that.
    """
    token = _written.set(True)
    try:
        yield
    finally:
        _written.reset(token)


def linear_forward(layer: Any, x: torch.Tensor) -> torch.Tensor:
    """``x @ weight.T + bias`` for ``[..., in] -> [..., out]``.

    Integers times integers are multiplied as integers, exactly, and scaled after; everything else is dequantized where
    it is multiplied. Both say the same up to the rounding of float32.
    """
    result = _product(layer, x)
    return result if layer.adapter is None else result + layer.adapter(x)


def _product(layer: Any, x: torch.Tensor) -> torch.Tensor:
    weight, activation = layer.quantized_weights["weight"], layer.activation
    if layer.smoothing is not None:
        x = x / layer.smoothing
    if activation is None:
        return F.linear(x, weight.dequantize(x.dtype), layer.bias)
    if isinstance(weight, QuantizedTensor) and _is_integer(weight, activation, x):
        return _integer_product(weight, activation, x, layer.bias)
    return F.linear(activation(x), weight.dequantize(x.dtype), layer.bias)


def _is_integer(weight: QuantizedTensor, activation: ActivationQuantizer, x: torch.Tensor) -> bool:
    """Whether torch's integer product takes this, is exact, and nobody asks for a gradient."""
    return (
        weight.format.integer
        and activation.format.integer
        and weight.zero_point is None
        and weight.scale.shape[1] <= _MOST_GROUPS
        and 0 < x.shape[-1] <= _LONGEST_SUM
        and x.device.type == "cpu"
        and not (torch.compiler.is_exporting() and (activation.static or not _written.get()))
        and not (torch.is_grad_enabled() and x.requires_grad)
    )


def _integer_product(
    weight: QuantizedTensor, activation: ActivationQuantizer, x: torch.Tensor, bias: torch.Tensor | None
) -> torch.Tensor:
    codes, x_scale = activation.quantize(x.reshape(-1, x.shape[-1]))
    width = weight.layout.group if weight.layout.per == "group" else x.shape[-1]
    total = torch.zeros(())
    for part, (a, b) in enumerate(zip(codes.split(width, 1), weight.unpacked().split(width, 1), strict=True)):
        exact = torch_internals.int8_product(a.contiguous(), b.contiguous().t())
        if activation.zero_point:
            exact = exact - activation.zero_point * b.sum(1, dtype=torch.int32)
        scaled = exact.float() * weight.scale[:, part].float()
        total = scaled if part == 0 else total + scaled
    result = total * x_scale
    if bias is not None:
        result = result + bias
    return result.to(x.dtype).reshape(*x.shape[:-1], -1 if x.numel() else weight.shape[0])
