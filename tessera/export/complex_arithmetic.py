"""What operators on complex numbers are on pairs of real tensors.

    z * w              ->   (a * c - b * d, a * d + b * c)
    rfft(x), length n  ->   x @ cos(2 pi t k / n), -x @ sin(2 pi t k / n)

A Fourier transform is a product with a matrix that is made of the length, so the length may change.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

_LONGEST = 4096  # of a transform: its matrix has as many numbers as the square of it


class Pair(NamedTuple):
    """A complex tensor: both parts have its shape."""

    real: Tensor
    imaginary: Tensor


class UnknownToPairsError(Exception):
    """An operator on complex numbers that is not written out here."""


def on_both(target: Any) -> Callable[..., Any]:
    """What treats every number alike is done to both parts."""

    def both(*args: Any, **kwargs: Any) -> Any:
        found = [target(*part_of(args, at), **part_of(kwargs, at)) for at in (0, 1)]
        if isinstance(found[0], (tuple, list)):
            return [Pair(*each) for each in zip(*found, strict=True)]
        return Pair(*found)

    return both


def part_of(values: Any, at: int) -> Any:
    """The same with one part of each pair; a real tensor beside one has no imaginary part."""
    if isinstance(values, Pair):
        return values[at]
    if at and isinstance(values, Tensor) and values.is_floating_point():
        return torch.zeros_like(values)
    if isinstance(values, dict):
        return {key: _real_type(value) if key == "dtype" else part_of(value, at) for key, value in values.items()}
    if isinstance(values, (tuple, list)):
        return type(values)(part_of(each, at) for each in values)
    return _real_type(values)


def _real_type(value: Any) -> Any:
    return value.to_real() if isinstance(value, torch.dtype) and value.is_complex else value


def as_pair(value: Any) -> Pair:
    """What is real, or a number, with both of its parts."""
    if isinstance(value, Pair):
        return value
    if isinstance(value, complex):
        return Pair(value.real, value.imag)  # type: ignore[arg-type]
    return Pair(value, torch.zeros_like(value) if isinstance(value, Tensor) else 0.0)  # type: ignore[arg-type]


def _product(multiply: Callable[..., Any]) -> Callable[..., Pair]:
    """What is linear in each of two factors."""

    def written(x: Any, y: Any) -> Pair:
        (a, b), (c, d) = as_pair(x), as_pair(y)
        if not isinstance(x, (Pair, complex)):
            return Pair(multiply(a, c), multiply(a, d))
        if not isinstance(y, (Pair, complex)):
            return Pair(multiply(a, c), multiply(b, c))
        return Pair(multiply(a, c) - multiply(b, d), multiply(a, d) + multiply(b, c))

    return written


def _einsum(equation: str, operands: Sequence[Any], **_: Any) -> Pair:
    if len(operands) != 2:
        raise UnknownToPairsError("einsum")
    return _product(lambda x, y: torch.einsum(equation, x, y))(*operands)


def _sum(x: Any, y: Any, *, alpha: Any = 1) -> Pair:
    return Pair(*(a + b * alpha for a, b in zip(as_pair(x), as_pair(y), strict=True)))


def _difference(x: Any, y: Any, *, alpha: Any = 1) -> Pair:
    return Pair(*(a - b * alpha for a, b in zip(as_pair(x), as_pair(y), strict=True)))


def _quotient(x: Any, y: Any) -> Pair:
    if not isinstance(y, (Pair, complex)):
        return Pair(x[0] / y, x[1] / y)
    c, d = as_pair(y)
    whole = c * c + d * d
    return _product(operator.mul)(x, Pair(c / whole, -d / whole))


def _cast(x: Any, dtype: Any = None, **more: Any) -> Pair:
    if not isinstance(dtype, torch.dtype) or not dtype.is_complex or set(more) - {"copy", "non_blocking"}:
        raise UnknownToPairsError("to")
    return Pair(*(part.to(dtype.to_real()) for part in as_pair(x)))


def _where(condition: Tensor, x: Any, y: Any) -> Pair:
    return Pair(*(torch.where(condition, a, b) for a, b in zip(as_pair(x), as_pair(y), strict=True)))


def _filled(fill: Callable[..., Tensor]) -> Callable[..., Pair]:
    def written(like: Any, value: Any, **more: Any) -> Pair:
        whole = complex(value) if isinstance(value, (int, float, complex)) else None
        if whole is None:
            raise UnknownToPairsError("full")
        return Pair(*(fill(part_of(like, 0), part, **part_of(more, 0)) for part in (whole.real, whole.imag)))

    return written


def _turns(n: Any, rows: Any, columns: Any, like: Tensor) -> tuple[Tensor, Tensor]:
    """Cosines and sines of ``2 pi t k / n``, ``[rows, columns]``; whole turns are left out while they are exact."""
    if isinstance(n, int) and n > _LONGEST:
        raise UnknownToPairsError(f"a transform of {n} numbers")
    t, k = (torch.arange(each, device=like.device) for each in (rows, columns))
    angle = torch.remainder(t[:, None] * k, torch.full((), n, dtype=torch.int64, device=like.device))
    angle = angle.to(like.dtype) * (2 * math.pi / n)
    return angle.cos(), angle.sin()


def _scaled(x: Pair, n: Any, normalization: int) -> Pair:
    share = {0: 1.0, 1: n**-0.5, 2: 1 / n}[normalization]
    return Pair(x.real * share, x.imaginary * share)


def _transformed(x: Any, dim: Sequence[int], normalization: int, forward: bool) -> Pair:
    """``_fft_c2c``."""
    x = as_pair(x)
    for at in dim:
        a, b = (part.movedim(at, -1) for part in x)
        n = a.shape[-1]
        cos, sin = _turns(n, n, n, a)
        sin = -sin if forward else sin
        found = Pair((a @ cos - b @ sin).movedim(-1, at), (a @ sin + b @ cos).movedim(-1, at))
        x = _scaled(found, n, normalization)
    return x


def _of_real(x: Tensor, dim: Sequence[int], normalization: int, onesided: bool) -> Pair:
    """``_fft_r2c``."""
    *others, last = dim
    n = x.shape[last]
    cos, sin = _turns(n, n, n // 2 + 1 if onesided else n, x)
    moved = x.movedim(last, -1)
    found = _scaled(Pair((moved @ cos).movedim(-1, last), -(moved @ sin).movedim(-1, last)), n, normalization)
    return _transformed(found, others, normalization, True)


def _to_real(x: Pair, dim: Sequence[int], normalization: int, last_dim_size: Any) -> Tensor:
    """``_fft_c2r``: frequencies but the first, and the last of an even number, stand for two."""
    *others, last = dim
    a, b = (part.movedim(last, -1) for part in _transformed(x, others, normalization, False))
    n, count = last_dim_size, a.shape[-1]
    cos, sin = _turns(n, count, n, a)
    k = torch.arange(count, device=a.device)
    twice = torch.where((k == 0) | (2 * k == n), 1.0, 2.0).to(a.dtype)
    found = ((a * twice) @ cos - (b * twice) @ sin).movedim(-1, last)
    return found * {0: 1.0, 1: n**-0.5, 2: 1 / n}[normalization]


FIRST: dict[str, Callable[..., Pair]] = {
    "view_as_complex": lambda x: Pair(x[..., 0], x[..., 1]),
    "complex": lambda real, imaginary: Pair(*torch.broadcast_tensors(real, imaginary)),
    "polar": lambda size, angle: Pair(size * angle.cos(), size * angle.sin()),
    "_fft_r2c": _of_real,
}
WRITTEN: dict[str, Callable[..., Any]] = {
    **FIRST,
    "_fft_c2c": _transformed,
    "_fft_c2r": _to_real,
    "view_as_real": lambda x: torch.stack(x, -1),
    "real": lambda x: x.real,
    "imag": lambda x: x.imaginary,
    "abs": lambda x: (x.real.square() + x.imaginary.square()).sqrt(),
    "angle": lambda x: torch.atan2(x.imaginary, x.real),
    "conj": lambda x: Pair(x.real, -x.imaginary),
    "_conj": lambda x: Pair(x.real, -x.imaginary),
    "conj_physical": lambda x: Pair(x.real, -x.imaginary),
    "resolve_conj": lambda x: x,
    "exp": lambda x: Pair(x.real.exp() * x.imaginary.cos(), x.real.exp() * x.imaginary.sin()),
    "mul": _product(operator.mul),
    "matmul": _product(torch.matmul),
    "bmm": _product(torch.bmm),
    "mm": _product(torch.mm),
    "einsum": _einsum,
    "add": _sum,
    "sub": _difference,
    "div": _quotient,
    "to": _cast,
    "_to_copy": _cast,
    "where": _where,
    "copy": lambda x, y, *_: Pair(*(torch.ops.aten.copy(a, b) for a, b in zip(x, as_pair(y), strict=True))),
    "full": _filled(torch.full),
    "full_like": _filled(torch.full_like),
    "ones": lambda size, **more: _filled(torch.full)(size, 1.0, **more),
    "scalar_tensor": lambda value, **more: _filled(torch.full)([], value, **more),
}
LINEAR = frozenset(
    [
        "alias",
        "cat",
        "chunk",
        "clone",
        "contiguous",
        "detach",
        "expand",
        "flatten",
        "flip",
        "gather",
        "index",
        "index_select",
        "mean",
        "movedim",
        "neg",
        "permute",
        "repeat",
        "reshape",
        "roll",
        "select",
        "slice",
        "split",
        "split_with_sizes",
        "squeeze",
        "stack",
        "sum",
        "t",
        "transpose",
        "unbind",
        "unsqueeze",
        "view",
        "zeros",
        "zeros_like",
        "new_zeros",
        "empty",
        "empty_like",
        "unflatten",
        "cumsum",
        "constant_pad_nd",
        "slice_scatter",
        "select_scatter",
        "_unsafe_view",
    ]
)
