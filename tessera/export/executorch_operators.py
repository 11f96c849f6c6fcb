"""Operators that ExecuTorch has no kernel for, or that XNNPACK hears wrong, in operators that both have."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from tessera.export.exact_arithmetic import EXACT, whole_remainder
from tessera.export.plain_operators import running_product

_NEUTRAL = {"sum": 0.0, "mean": 0.0, "prod": 1.0, "amax": -math.inf, "amin": math.inf}


def sort_by_topk(x: Tensor, dim: int = -1, descending: bool = False) -> tuple[Tensor, Tensor]:
    """``torch.sort``; where numbers are equal their order is another."""
    if not x.dim():
        return NotImplemented
    values, order = torch.topk(x, x.shape[dim], dim, largest=descending, sorted=True)
    return values, order


def zeros_like(x: Tensor, *, dtype: torch.dtype | None = None, **_: Any) -> Tensor:
    """Zeros where ``torch.empty_like`` has anything."""
    return torch.zeros(x.shape, dtype=dtype or x.dtype, device=x.device)


def maximum_over_all(x: Tensor, output_size: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Adaptive pooling to one place; to several it is left as it is."""
    if any(size != 1 for size in output_size):
        return NotImplemented
    values, places = x.flatten(-len(output_size)).max(-1)
    shape = (*x.shape[: -len(output_size)], *output_size)
    return values.reshape(shape), places.reshape(shape)


def coordinates(x: Tensor) -> list[Tensor]:
    """``torch.where`` with a condition alone: the places where it holds, a vector for each dimension."""
    if not x.dim():
        return NotImplemented
    place = torch.arange(x.numel(), device=x.device).masked_select((x != 0).flatten())
    found = []
    for size in reversed(x.shape):
        found.append(place % size)
        place = place // size
    return found[::-1]


def rows_of_coordinates(x: Tensor) -> Tensor:
    """``torch.nonzero``, which torch lays out column by column: ExecuTorch takes no such layout."""
    found = coordinates(x)
    return found if found is NotImplemented else torch.stack(found, -1)


def gelu_by_tanh(x: Tensor, *, approximate: str = "none") -> Tensor:
    """The GELU of Hendrycks and Gimpel (2016) by a hyperbolic tangent; XNNPACK computes the other one in its place."""
    if approximate != "tanh":
        return NotImplemented
    return 0.5 * x * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x * x * x)))


def scaled_elu(x: Tensor, alpha: float = 1, scale: float = 1, input_scale: float = 1) -> Tensor:
    """SELU and CELU, which torch makes ELU with scales; XNNPACK does not look at them."""
    if scale == 1 and input_scale == 1:
        return NotImplemented
    return torch.where(x > 0, scale * x, (alpha * scale) * torch.expm1(x * input_scale))


def maximum_in_a_body(
    x: Tensor, kernel_size: Any, stride: Any = (), padding: Any = 0, dilation: Any = 1, ceil_mode: bool = False
) -> Tensor:
    """``max_pool3d``: first in every plane, then in the lines across them."""
    size, gap, spread = _three(kernel_size), _three(padding), _three(dilation)
    step = _three(stride) if stride not in ((), [], None) else size
    if x.dim() != 5:
        return NotImplemented
    planes = functional.max_pool2d(x.flatten(1, 2), size[1:], step[1:], gap[1:], spread[1:], ceil_mode)
    planes = planes.unflatten(1, (x.shape[1], x.shape[2]))
    lines = functional.max_pool2d(
        planes.flatten(3, 4), (size[0], 1), (step[0], 1), (gap[0], 0), (spread[0], 1), ceil_mode
    )
    return lines.unflatten(3, planes.shape[3:])


def convolution_of_a_body(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Tensor:
    """``conv3d``: a convolution of planes for each plane of the weight, and their sum."""
    if x.dim() != 5 or isinstance(padding, str):
        return NotImplemented
    step, gap, spread = _three(stride), _three(padding), _three(dilation)
    x = functional.pad(x, (0, 0, 0, 0, gap[0], gap[0])) if gap[0] else x
    deep = (x.shape[2] - spread[0] * (weight.shape[2] - 1) - 1) // step[0] + 1
    place = torch.arange(deep, device=x.device) * step[0]
    total: Any = None
    for at in range(weight.shape[2]):
        seen = x.index_select(2, place + at * spread[0]).transpose(1, 2)
        flat = functional.conv2d(
            seen.flatten(0, 1), weight[:, :, at], bias if at == 0 else None, step[1:], gap[1:], spread[1:], groups
        )
        total = flat if total is None else total + flat
    return total.unflatten(0, (x.shape[0], deep)).transpose(1, 2)


def _three(value: Any) -> tuple[int, int, int]:
    values = tuple(value) if isinstance(value, (tuple, list)) else (value,)
    return values * 3 if len(values) == 1 else values


def reduced_by_comparing(
    x: Tensor, dim: int, index: Tensor, src: Tensor, reduce: str, *, include_self: bool = True
) -> Tensor:
    """``torch.scatter_reduce``: every place looks at all numbers, and takes those that fall on it."""
    at = dim % max(1, x.dim())
    shapes = [[str(size) for axis, size in enumerate(each.shape) if axis != at] for each in (x, index, src)]
    if not x.dim() or not x.is_floating_point() or shapes[1:] != shapes[:-1] or str(src.shape) != str(index.shape):
        return NotImplemented
    base = x.movedim(at, -1)
    places = torch.arange(base.shape[-1], device=x.device)
    falls = index.movedim(at, -1).unsqueeze(-2) == places[:, None]
    neutral = torch.full((), _NEUTRAL[reduce], dtype=x.dtype, device=x.device)
    spread = torch.where(falls, src.movedim(at, -1).unsqueeze(-2), neutral)
    if reduce in ("amax", "amin"):
        found = spread.amax(-1) if reduce == "amax" else spread.amin(-1)
        both = torch.maximum(base, found) if reduce == "amax" else torch.minimum(base, found)
    elif reduce == "prod":
        found = spread.prod(-1)
        both = base * found
    else:
        found, count = spread.sum(-1), falls.sum(-1).to(x.dtype)
        both = base + found
        if reduce == "mean":
            found, both = found / count.clamp(min=1), both / (count + 1)
    return (both if include_self else torch.where(falls.any(-1), found, base)).movedim(-1, at)


UNKNOWN_TO_EXECUTORCH: dict[str, Callable[..., Any]] = {
    "aten.sort.default": sort_by_topk,
    "aten.empty_like.default": zeros_like,
    "aten.where.default": coordinates,
    "aten.nonzero_numpy.default": coordinates,
    "aten.nonzero.default": rows_of_coordinates,
    "aten.gelu.default": gelu_by_tanh,
    "aten.elu.default": scaled_elu,
    "aten.cumprod.default": running_product,
    "aten.scatter_reduce.two": reduced_by_comparing,
    "aten.max_pool3d.default": maximum_in_a_body,
    "aten.conv3d.default": convolution_of_a_body,
    "aten.adaptive_max_pool1d.default": maximum_over_all,
    "aten.adaptive_max_pool2d.default": maximum_over_all,
    **EXACT,
    **dict.fromkeys((f"aten.remainder.{kind}" for kind in ("Tensor", "Scalar", "Scalar_Tensor")), whole_remainder),
    "aten.__and__.Scalar": torch.bitwise_and,
}
