"""Operators that torch.onnx has no translation for, or a wrong one, in operators that it translates."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from tessera.export.plain_operators import running_product

# What a reduction begins with where the tensor itself does not count.
_NEUTRAL = {"sum": 0.0, "mean": 0.0, "prod": 1.0, "amax": -math.inf, "amin": math.inf}


def reversed_difference(x: Tensor, other: float, alpha: float = 1) -> Tensor:
    """``other - alpha * x``: of whole numbers and a float it is a float, which the translation does not see."""
    kind = torch.result_type(x, other)
    return torch.full((), other, dtype=kind, device=x.device) - x.to(kind) * alpha


def distances(x: Tensor, y: Tensor, p: float = 2.0, *_: Any) -> Tensor:
    """``torch.cdist``: ``[..., P, D]`` and ``[..., R, D]`` give ``[..., P, R]``."""
    apart = (x.unsqueeze(-2) - y.unsqueeze(-3)).abs()
    if p == 0:
        return (apart != 0).to(x.dtype).sum(-1)
    if p == 1:
        return apart.sum(-1)
    if p == 2:
        return apart.square().sum(-1).sqrt()
    if math.isinf(p):
        return apart.amax(-1)
    return apart.pow(p).sum(-1).pow(1 / p)


def reduced_where_they_fall(
    x: Tensor, dim: int, index: Tensor, src: Tensor, reduce: str, *, include_self: bool = True
) -> Tensor:
    """``torch.scatter_reduce``: its means, and its reductions without the tensor itself, are translated wrongly."""
    cut = _as_large_as(src, index)
    if cut is src and include_self and reduce != "mean":
        return NotImplemented
    if not x.dim() or not x.is_floating_point():
        return NotImplemented
    count = torch.zeros_like(x).scatter_add(dim, index, torch.ones_like(cut))
    begun = x if include_self else torch.where(count > 0, torch.full_like(x, _NEUTRAL[reduce]), x)
    if reduce == "mean":
        return begun.scatter_add(dim, index, cut) / (count + 1 if include_self else count.clamp(min=1))
    return torch.scatter_reduce(begun, dim, index, cut, reduce, include_self=True)


def added_where_they_fall(x: Tensor, dim: int, index: Tensor, src: Tensor) -> Tensor:
    """``torch.scatter_add`` of more than it has places for, which ONNX does not take."""
    cut = _as_large_as(src, index)
    return NotImplemented if cut is src else torch.scatter_add(x, dim, index, cut)


def _as_large_as(src: Tensor, index: Tensor) -> Tensor:
    """The part of ``src`` that ``index`` speaks of."""
    for at, (size, wanted) in enumerate(zip(src.shape, index.shape, strict=True)):
        if str(size) != str(wanted):  # symbols are compared by what they are: equality would fix one of them
            src = src.narrow(at, 0, wanted)
    return src


def average_over_windows(x: Tensor, output_size: Sequence[int]) -> Tensor:
    """Adaptive pooling to several places: along each axis a product with the share that a place has in a window."""
    if all(size == 1 for size in output_size):
        return NotImplemented
    for at, size in enumerate(output_size):
        axis = x.dim() - len(output_size) + at
        within = _windows(x.shape[axis], size, x.device).to(x.dtype)
        shares = within / within.sum(-1, keepdim=True)
        x = (x.movedim(axis, -1) @ shares.mT).movedim(-1, axis)
    return x


def maximum_over_windows(x: Tensor, output_size: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Adaptive pooling by maxima: of all places those in the window, and where in all it was."""
    lengths = x.shape[-len(output_size) :]
    within = _windows(lengths[0], output_size[0], x.device)
    for length, size in zip(lengths[1:], output_size[1:], strict=True):
        further = _windows(length, size, x.device)
        within = (within[:, None, :, None] & further[None, :, None, :]).flatten(2).flatten(0, 1)
    all_places = x.flatten(-len(output_size)).unsqueeze(-2)
    values, places = torch.where(within, all_places, torch.full((), -math.inf, dtype=x.dtype)).max(-1)
    shape = (*x.shape[: -len(output_size)], *output_size)
    return values.reshape(shape), places.reshape(shape)


def _windows(length: Any, size: int, device: torch.device) -> Tensor:
    """``[size, length]``: which places of an axis are in each window, as torch parts it."""
    place, window = torch.arange(length, device=device), torch.arange(size, device=device)[:, None]
    whole = place[-1:] + 1
    first = (window * whole).div(size, rounding_mode="floor")
    last = ((window + 1) * whole + size - 1).div(size, rounding_mode="floor")
    return (place >= first) & (place < last)


def places_in_order(
    sequence: Tensor,
    values: Tensor,
    *,
    out_int32: bool = False,
    right: bool = False,
    side: Any = None,
    sorter: Any = None,
) -> Tensor:
    """``torch.searchsorted``: how many come before."""
    if sorter is not None:
        sequence = sequence.gather(-1, sorter)
    row = sequence if sequence.dim() == 1 else sequence.unsqueeze(-2)
    each = values.unsqueeze(-1)
    before = row <= each if right or side == "right" else row < each
    return before.sum(-1, dtype=torch.int32 if out_int32 else torch.int64)


def among(x: Tensor, those: Tensor, *, invert: bool = False, **_: Any) -> Tensor:
    """``torch.isin``."""
    found = (x.unsqueeze(-1) == those.flatten()).any(-1)
    return ~found if invert else found


def from_the_smallest(x: Tensor, k: int, dim: int = -1, keepdim: bool = False) -> tuple[Tensor, Tensor]:
    """``torch.kthvalue``; of equal ones the place may be another."""
    if not x.dim():
        return NotImplemented
    values, order = x.sort(dim)
    values, order = values.narrow(dim, k - 1, 1), order.narrow(dim, k - 1, 1)
    return (values, order) if keepdim else (values.squeeze(dim), order.squeeze(dim))


def median(x: Tensor, dim: int, keepdim: bool = False) -> tuple[Tensor, Tensor]:
    """The lower of the two in the middle, and where it is; NaN where there is one."""
    if not x.dim():
        return NotImplemented
    values, order = x.sort(dim)
    middle = (torch.arange(x.shape[dim], device=x.device)[-1:]) // 2
    values, order = values.index_select(dim, middle), order.index_select(dim, middle)
    if x.is_floating_point():
        lost = x.isnan()
        some = lost.any(dim, keepdim=True)
        values = torch.where(some, torch.full((), math.nan, dtype=x.dtype, device=x.device), values)
        order = torch.where(some, lost.to(torch.int64).argmax(dim, keepdim=True), order)
    return (values, order) if keepdim else (values.squeeze(dim), order.squeeze(dim))


def chosen(x: Tensor, mask: Tensor) -> Tensor:
    """``torch.masked_select``, by the places."""
    x, mask = torch.broadcast_tensors(x, mask)
    return x.flatten()[mask.flatten().nonzero().squeeze(-1)]


def hypotenuse(x: Tensor, y: Tensor) -> Tensor:
    """Of numbers whose squares the dtype holds."""
    largest = torch.maximum(x.abs(), y.abs())
    scale = torch.where((largest > 0) & (largest < math.inf), largest, torch.ones_like(largest))
    return scale * ((x / scale).square() + (y / scale).square()).sqrt()


def leaky(x: Tensor, lower: float = 1 / 8, upper: float = 1 / 3, training: bool = False, **_: Any) -> Tensor:
    """``rrelu`` when it draws nothing: the slope in the middle."""
    return NotImplemented if training else torch.where(x >= 0, x, x * ((lower + upper) / 2))


def between(x: Tensor, min: Any = None, max: Any = None) -> Tensor:
    """``torch.clamp`` of whole numbers by floats, which makes them floats."""
    if x.is_floating_point() or not any(isinstance(each, float) for each in (min, max)):
        return NotImplemented
    return torch.clamp(x.to(torch.get_default_dtype()), min, max)


def at_most(x: Tensor, max: Any) -> Tensor:
    """``torch.clamp_max``."""
    return between(x, None, max)


def not_negative(x: Tensor) -> Tensor:
    """``relu``, which onnxruntime has of few types."""
    return NotImplemented if x.is_floating_point() else x.clamp(min=0)


def mean(x: Tensor, dim: Any = None, keepdim: bool = False, *, dtype: torch.dtype | None = None) -> Tensor:
    """``torch.mean`` in a type that is not the tensor's: it is of that type before it is summed."""
    if dtype is None or dtype == x.dtype:
        return NotImplemented
    return torch.mean(x.to(dtype), dim, keepdim)


def mean_of_all(x: Tensor, *, dtype: torch.dtype | None = None) -> Tensor:
    """The same of all numbers."""
    return NotImplemented if dtype is None or dtype == x.dtype else torch.mean(x.to(dtype))


def place_of(extreme: Callable[..., Tensor]) -> Callable[..., Any]:
    """``argmax`` or ``argmin`` of all numbers that keeps the dimensions."""

    def written(x: Tensor, dim: int | None = None, keepdim: bool = False) -> Any:
        if dim is not None or not keepdim or not x.dim():
            return NotImplemented
        return extreme(x.flatten(), 0).reshape([1] * x.dim())

    return written


def sorted_in_place_order(x: Tensor, *, dim: int = -1, descending: bool = False, **_: Any) -> Any:
    """``torch.sort`` with ``stable``: of equal numbers ONNX's ``TopK`` takes the first one first."""
    if not x.dim():
        return NotImplemented
    values, order = torch.topk(x, x.shape[dim], dim, largest=descending)
    return values, order


def in_place_order(x: Tensor, **more: Any) -> Any:
    """``torch.argsort`` with ``stable``."""
    found = sorted_in_place_order(x, **more)
    return found if found is NotImplemented else found[1]


UNKNOWN_TO_ONNX: dict[str, Callable[..., Any]] = {
    "aten.rsub.Scalar": reversed_difference,
    "aten.cumprod.default": running_product,
    "aten.cdist.default": distances,
    "aten.scatter_reduce.two": reduced_where_they_fall,
    "aten.scatter_add.default": added_where_they_fall,
    "aten.adaptive_avg_pool1d.default": average_over_windows,
    "aten.adaptive_avg_pool2d.default": average_over_windows,
    "aten.adaptive_avg_pool3d.default": average_over_windows,
    "aten.adaptive_max_pool1d.default": maximum_over_windows,
    "aten.adaptive_max_pool2d.default": maximum_over_windows,
    "aten.adaptive_max_pool3d.default": maximum_over_windows,
    "aten.searchsorted.Tensor": places_in_order,
    "aten.isin.Tensor_Tensor": among,
    "aten.kthvalue.default": from_the_smallest,
    "aten.median.dim": median,
    "aten.masked_select.default": chosen,
    "aten.hypot.default": hypotenuse,
    "aten.rrelu.default": leaky,
    "aten.clamp.default": between,
    "aten.clamp_min.default": between,
    "aten.clamp_max.default": at_most,
    "aten.relu.default": not_negative,
    "aten.mean.dim": mean,
    "aten.mean.default": mean_of_all,
    "aten.argmax.default": place_of(torch.argmax),
    "aten.argmin.default": place_of(torch.argmin),
    "aten.argsort.stable": in_place_order,
    "aten.sort.stable": sorted_in_place_order,
}
