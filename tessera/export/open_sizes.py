"""Functions that make a number of a size which was to stay a symbol, in others that leave it one.

Torch writes these in C++ with sizes as integers, so tracing one fixes the length of the time or of the picture. Where
a size is a symbol they are called otherwise here; lengths as divisors are the last place of a range, and one more.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode


class SizesStayOpen(TorchFunctionMode):
    """Within, such functions are called otherwise where a size is a symbol."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        otherwise = _OTHERWISE.get(func)
        if otherwise is not None:
            found = otherwise(*args, **(kwargs or {}))
            if found is not NotImplemented:
                return found
        return func(*args, **(kwargs or {}))


def _largest_in_a_line(
    x: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """``max_pool1d`` as one of pictures that are one line high."""
    if return_indices or not _open(x.shape):
        return NotImplemented
    size = _one(kernel_size)
    step = size if stride is None or stride == [] else _one(stride)
    high = functional.max_pool2d(
        x.unsqueeze(-2), (1, size), (1, step), (0, _one(padding)), (1, _one(dilation)), ceil_mode
    )
    return high.squeeze(-2)


def _evenly(start: Any, end: Any, steps: Any = None, **more: Any) -> Any:
    """``linspace``: from either end, so that both are exact, as torch has it."""
    if not isinstance(steps, torch.SymInt) or isinstance(start, Tensor) or isinstance(end, Tensor) or "out" in more:
        return NotImplemented
    kind = more.pop("dtype", None) or torch.get_default_dtype()
    if not kind.is_floating_point:
        return NotImplemented
    more["dtype"] = kind
    place = _places(steps, more)
    last = place[-1:]
    step = (end - start) / last.clamp(min=1)
    lower = (2 * place < last) | (place == 0)
    return torch.where(lower, start + place * step, end - (last - place) * step)


def _grid(theta: Tensor, size: Sequence[Any], align_corners: bool | None = None) -> Any:
    """``affine_grid``: the places of a picture or a body in ``[-1, 1]``, turned by ``theta``."""
    batch, _, *lengths = size
    if not _open(size) or len(lengths) not in (2, 3):
        return NotImplemented
    axes = []
    for length in lengths:
        place = _places(length, {"dtype": theta.dtype, "device": theta.device})
        last = place[-1:]
        if align_corners:  # one place alone is in the middle
            axes.append(2 * place / last.clamp(min=1) - (last > 0).to(theta.dtype))
        else:
            axes.append((2 * place + 1) / (last + 1) - 1)
    grids = torch.meshgrid(*axes, indexing="ij")
    base = torch.stack([*reversed(grids), torch.ones_like(grids[0])], -1)
    turned = base.flatten(0, -2) @ theta.transpose(1, 2)
    return turned.reshape(batch, *lengths, len(lengths))


def _taken_along(x: Tensor, indices: Tensor, dim: int | None = None) -> Any:
    """``take_along_dim``: what is one long in all other dimensions is as long as the other there."""
    if dim is None or not _open((*x.shape, *indices.shape)) or x.dim() != indices.dim():
        return NotImplemented
    both = [
        x.shape[at] if isinstance(indices.shape[at], int) and indices.shape[at] == 1 else indices.shape[at]
        for at in range(x.dim())
    ]
    at = dim % x.dim()
    wide, places = [*both], [*both]
    wide[at], places[at] = x.shape[at], indices.shape[at]
    return torch.gather(x.expand(wide), at, indices.expand(places))


def _places(length: Any, more: dict[str, Any]) -> Tensor:
    """``0, 1, ...`` up to a length that may be a symbol."""
    return torch.arange(length, **more)


def _open(sizes: Sequence[Any]) -> bool:
    return any(isinstance(size, torch.SymInt) for size in sizes)


def _one(value: Any) -> int:
    return value[0] if isinstance(value, (tuple, list)) else value


_OTHERWISE: dict[Any, Callable[..., Any]] = {
    functional.max_pool1d: _largest_in_a_line,
    torch.max_pool1d: _largest_in_a_line,
    torch.linspace: _evenly,
    functional.affine_grid: _grid,
    torch.take_along_dim: _taken_along,
    Tensor.take_along_dim: _taken_along,
}
