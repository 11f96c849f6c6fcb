"""Floating-point formats: what is left of a real number that is stored in one."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Format:
    """A binary format.

    Attributes:
        digits: binary digits of the significand, the hidden one counted.
        smallest: the smallest positive number, a subnormal one.
        largest: the largest finite number.
    """

    digits: int
    smallest: float
    largest: float

    @property
    def epsilon(self) -> float:
        """The distance from 1 to the next number above."""
        return 2.0 ** (1 - self.digits)

    @property
    def largest_exponent(self) -> float:
        """Exp of more than this is infinite."""
        return math.log(self.largest)

    @property
    def smallest_exponent(self) -> float:
        """Exp of less than this is zero."""
        return math.log(self.smallest) - math.log(2)

    def round(self, value: float) -> float:
        """The nearest number of the format, ties to even; infinite where it is too large."""
        if value == 0 or not math.isfinite(value) or self.digits == WIDEST.digits:
            return value
        _, exponent = math.frexp(value)
        quantum = max(2.0 ** (exponent - self.digits), self.smallest)
        rounded = round(value / quantum) * quantum
        return rounded if abs(rounded) <= self.largest else math.copysign(math.inf, value)


WIDEST = Format(53, 5e-324, torch.finfo(torch.float64).max)
_FORMATS = {
    torch.float64: WIDEST,
    torch.float32: Format(24, 2.0**-149, torch.finfo(torch.float32).max),
    torch.bfloat16: Format(8, 2.0**-133, torch.finfo(torch.bfloat16).max),
    torch.float16: Format(11, 2.0**-24, torch.finfo(torch.float16).max),
}


def format_of(dtype: torch.dtype | None) -> Format | None:
    """The format of a floating dtype whose arithmetic is followed here; None for every other."""
    return None if dtype is None else _FORMATS.get(dtype)
