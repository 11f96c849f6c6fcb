"""Arithmetic that converters and runtimes send through floats, in operators that hold large whole numbers.

torch.onnx divides whole numbers in float32, which holds them up to 2 ** 24; powers, and remainders with the sign of the
number, are float64's in onnxruntime and in ExecuTorch, up to 2 ** 53; and ExecuTorch gives those where the divisor's
sign is asked for. A quotient of floats that is nearly whole is rounded before its floor is taken: 1 // 0.1 is 9 in
torch, and 10 there. No example of small positive numbers shows any of it.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

import torch
from torch import Tensor

_in_a_shift: ContextVar[bool] = ContextVar("_in_a_shift", default=False)  # what a shift is written in is looked up too


def quotient(a: Any, b: Any, *, rounding_mode: str | None = None) -> Tensor:
    """``torch.div`` with a rounding mode."""
    kind = torch.result_type(a, b)
    if rounding_mode == "floor" and kind.is_floating_point:
        return _of_floats(_floor_of_floats, a, b, kind)
    if rounding_mode is None or not _is_whole(kind):
        return NotImplemented
    a, b = _both(a, b, kind)
    down = torch.floor_divide(a, b)
    return down if rounding_mode == "floor" else down + _is_rounded_up(a, b, a - down * b).to(kind)


def floor_quotient(a: Any, b: Any) -> Tensor:
    """``a // b``: of floats, or where one is no tensor of the answer's type."""
    kind = torch.result_type(a, b)
    if kind.is_floating_point:
        return _of_floats(_floor_of_floats, a, b, kind)
    if not _is_whole(kind) or all(isinstance(each, Tensor) and each.dtype == kind for each in (a, b)):
        return NotImplemented
    return torch.floor_divide(*_both(a, b, kind))


def _floor_of_floats(a: Tensor, b: Tensor) -> Tensor:
    rest = torch.fmod(a, b)
    whole = (a - rest) / b
    whole = torch.where((rest != 0) & ((b < 0) != (rest < 0)), whole - 1, whole)
    down = whole.floor()
    down = torch.where(whole - down > 0.5, down + 1, down)
    return torch.where(b == 0, a / b, down)


def remainder(a: Any, b: Any) -> Tensor:
    """``a % b`` of floats."""
    kind = torch.result_type(a, b)
    if not kind.is_floating_point:
        return NotImplemented
    a, b = _both(a, b, kind)  # a number is rounded to the type first, which for a floor it is not
    return _of_floats(_remainder_of_floats, a, b, kind)


def whole_remainder(a: Any, b: Any) -> Tensor:
    """``a % b`` of whole numbers too."""
    kind = torch.result_type(a, b)
    if not _is_whole(kind):
        return remainder(a, b)
    a, b = _both(a, b, kind)
    return a - torch.floor_divide(a, b) * b


def _remainder_of_floats(a: Tensor, b: Tensor) -> Tensor:
    rest = torch.fmod(a, b)
    return torch.where((rest != 0) & ((b < 0) != (rest < 0)), rest + b, rest)


def remainder_of_its_sign(a: Any, b: Any) -> Tensor:
    """``torch.fmod`` of whole numbers."""
    kind = torch.result_type(a, b)
    if not _is_whole(kind):
        return NotImplemented
    a, b = _both(a, b, kind)
    rest = a - torch.floor_divide(a, b) * b  # what is written here is not looked up again: ExecuTorch's % is wrong
    return torch.where(_is_rounded_up(a, b, rest), rest - b, rest)


def _is_rounded_up(a: Tensor, b: Tensor, rest: Tensor) -> Tensor:
    """Where the quotient towards zero is one more than that towards less; ``rest`` is what the latter leaves."""
    return (rest != 0) & ((a < 0) != (b < 0))


def power(base: Any, exponent: Any) -> Tensor:
    """``torch.pow``: the product of those squares of squares that the exponent has a bit for."""
    kind = torch.result_type(base, exponent)
    if not _is_whole(kind):
        return NotImplemented
    if isinstance(exponent, int):
        return _power_of_known(base, exponent)
    square, exponent = _both(base, exponent, kind)
    found, odd = torch.ones_like(square), (exponent & 1) != 0
    of_negative = torch.where(square.abs() == 1, torch.where(odd, square, found), torch.zeros_like(square))
    for bit in range(torch.iinfo(kind).bits - kind.is_signed):
        found = torch.where((exponent & (1 << bit)) != 0, found * square, found)
        square = square * square
    return torch.where(exponent < 0, of_negative, found) if kind.is_signed else found


def square(x: Tensor) -> Tensor:
    """``torch.square`` of whole numbers, which some take for a power."""
    return x * x if _is_whole(x.dtype) else NotImplemented


def _power_of_known(square: Tensor, exponent: int) -> Tensor:
    if exponent < 0:
        return NotImplemented
    found = torch.ones_like(square)
    while exponent:
        if exponent & 1:
            found = found * square
        square, exponent = square * square, exponent >> 1
    return found


def left_shift(a: Any, b: Any) -> Tensor:
    """``a << b``: what falls out is lost, all of it where ``b`` is no number of bits."""
    return _shifted(torch.bitwise_left_shift, a, b)


def right_shift(a: Any, b: Any) -> Tensor:
    """``a >> b``: the sign fills up, all of it where ``b`` is no number of bits."""
    return _shifted(torch.bitwise_right_shift, a, b)


def _shifted(shift: Callable[[Tensor, Tensor], Tensor], a: Any, b: Any) -> Tensor:
    """In 32 bits at least: onnxruntime shifts no 16, and torch.onnx forgets that 8 have no sign.

    ExecuTorch leaves ``b`` to the processor, which looks at its last bits alone: 1 << 64 is 1 there.
    """
    kind = torch.result_type(a, b)
    if not _is_whole(kind) or _in_a_shift.get():
        return NotImplemented
    known = b if isinstance(b, int) else None
    a, b = _both(a, b, kind if kind.itemsize > 2 else torch.int32)
    last = torch.iinfo(a.dtype).bits - 1
    token = _in_a_shift.set(True)
    try:
        if known is not None and 0 <= known <= last:
            return shift(a, b).to(kind)
        outside = (b < 0) | (b > last)
        found = shift(a, torch.where(outside, torch.full_like(b, last), b))
    finally:
        _in_a_shift.reset(token)
    if shift is torch.bitwise_left_shift:
        found = torch.where(outside, torch.zeros_like(found), found)
    return found.to(kind)


def _of_floats(function: Callable[[Tensor, Tensor], Tensor], a: Any, b: Any, kind: torch.dtype) -> Tensor:
    """As torch computes it: of short floats in float32, rounded once."""
    a, b = _both(a, b, kind if kind.itemsize > 2 else torch.float32)
    return function(a, b).to(kind)


def _is_whole(kind: torch.dtype) -> bool:
    return not (kind.is_floating_point or kind.is_complex or kind == torch.bool)


def _both(a: Any, b: Any, kind: torch.dtype) -> tuple[Tensor, Tensor]:
    """Two tensors of one type."""
    device = next(each.device for each in (a, b) if isinstance(each, Tensor))
    one, other = (
        each.to(kind) if isinstance(each, Tensor) else torch.full((), each, dtype=kind, device=device)
        for each in (a, b)
    )
    return one, other


_KINDS = ("Tensor", "Tensor_Scalar", "Scalar_Tensor")
EXACT: dict[str, Callable[..., Any]] = {
    "aten.div.Tensor_mode": quotient,
    "aten.div.Scalar_mode": quotient,
    "aten.floor_divide.default": floor_quotient,
    "aten.remainder.Tensor": remainder,
    "aten.remainder.Scalar": remainder,
    "aten.remainder.Scalar_Tensor": remainder,
    "aten.fmod.Tensor": remainder_of_its_sign,
    "aten.fmod.Scalar": remainder_of_its_sign,
    "aten.pow.Tensor_Tensor": power,
    "aten.pow.Tensor_Scalar": power,
    "aten.pow.Scalar": power,
    "aten.square.default": square,
    **dict.fromkeys(("aten.__lshift__.Tensor", "aten.__lshift__.Scalar"), left_shift),
    **dict.fromkeys(("aten.__rshift__.Tensor", "aten.__rshift__.Scalar"), right_shift),
    **dict.fromkeys((f"aten.bitwise_left_shift.{kind}" for kind in _KINDS), left_shift),
    **dict.fromkeys((f"aten.bitwise_right_shift.{kind}" for kind in _KINDS), right_shift),
}
