"""Functions that are 0 / 0 at 0, or what is left of a function without the first terms of its series, as plain PyTorch.

Near 0 they are their power series, which has no cancellation and neither has its gradient; elsewhere what they are
written as. Enough terms for float64 within the radius.

References:
    Higham, Functions of Matrices, 2008, chapter 10 (the phi functions).
    Abramowitz and Stegun, Handbook of Mathematical Functions, 1964, 4.1, 4.3, 4.5 and 7.1.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch

_COUNT = 14  # terms of a series in x, within 1/2
_DEPTH = 36  # of a continued fraction, from 3 on
_EVEN = 8  # of one in x^2
_LONG = 11  # of one in x^2 within 1, where a quotient by a power of x would cancel up to there


def _polynomial(x: Any, coefficients: Sequence[float]) -> Any:
    total: Any = coefficients[-1]
    for coefficient in coefficients[-2::-1]:
        total = total * x + coefficient
    return total


def _near_0(
    x: Any, coefficients: Sequence[float], far: Callable[[Any], Any], *, even: bool, radius: float = 0.5
) -> Any:
    near = torch.abs(x) < radius
    inner = torch.where(near, x, 0.0)
    return torch.where(
        near, _polynomial(inner * inner if even else inner, coefficients), far(torch.where(near, 1.0, x))
    )


def expm1_over(x: Any) -> Any:
    """(exp(x) - 1) / x."""
    return _near_0(
        x, [1 / math.factorial(n + 1) for n in range(_COUNT)], lambda far: torch.expm1(far) / far, even=False
    )


def inverse_expm1_over(x: Any) -> Any:
    """X / (exp(x) - 1)."""
    above = x > 0
    large = torch.where(above, x, 0.0)
    return torch.where(above, torch.exp(-large) / expm1_over(-large), 1 / expm1_over(torch.where(above, 0.0, x)))


def inverse_expm1(x: Any) -> Any:
    """1 / (exp(x) - 1)."""
    above = x > 0
    large = torch.where(above, x, 1.0)
    return torch.where(above, torch.exp(-large) / -torch.expm1(-large), 1 / torch.expm1(torch.where(above, -1.0, x)))


def expm1_remainder(x: Any) -> Any:
    """exp(x) - 1 - x."""
    return _near_0(x, _EXPM1_REMAINDER, lambda far: torch.expm1(far) - far, even=False, radius=1.0)


def expm1_remainder_over(x: Any) -> Any:
    """(exp(x) - 1 - x) / x^2."""
    return _near_0(x, _EXPM1_REMAINDER[2:], lambda far: (torch.expm1(far) - far) / far / far, even=False, radius=1.0)


def sin_over(x: Any) -> Any:
    """sin(x) / x."""
    return _near_0(x, _SIN[:_EVEN], lambda far: torch.sin(far) / far, even=True)


def sin_remainder(x: Any) -> Any:
    """X - sin(x)."""
    near = torch.abs(x) < 1
    inner, far = torch.where(near, x, 0.0), torch.where(near, 1.0, x)
    close = inner * inner * inner * _polynomial(inner * inner, [-c for c in _SIN[1:]])
    return torch.where(near, close, far - torch.sin(far))


def sin_remainder_over(x: Any) -> Any:
    """(x - sin(x)) / x^3."""
    return _near_0(
        x, [-c for c in _SIN[1:]], lambda far: (far - torch.sin(far)) / far / far / far, even=True, radius=1.0
    )


def cos_remainder_over(x: Any) -> Any:
    """(1 - cos(x)) / x^2."""
    return _near_0(x, _COS, lambda far: (1 - torch.cos(far)) / far / far, even=True, radius=1.0)


def sinh_over(x: Any) -> Any:
    """sinh(x) / x."""
    return _near_0(x, [abs(c) for c in _SIN[:_EVEN]], lambda far: torch.sinh(far) / far, even=True)


def erf_over(x: Any) -> Any:
    """erf(x) / x."""
    return _near_0(x, _ERF, lambda far: torch.erf(far) / far, even=True)


def tanh_over(x: Any) -> Any:
    """tanh(x) / x."""
    return _near_0(x, _TANH, lambda far: torch.tanh(far) / far, even=True, radius=0.35)


def coth_remainder(x: Any) -> Any:
    """1 / tanh(x) - 1 / x."""
    return _near_0(x, _COTH, lambda far: (1 / torch.tanh(far) - 1 / far) / far, even=True, radius=0.7) * x


def inverse_erfcx(x: Any) -> Any:
    """exp(-x^2) / erfc(x): from 3 on by the continued fraction of erfc, whose gradient does not cancel."""
    far = x > 3
    inner, tail = torch.where(far, 0.0, x), torch.where(far, x, 3.0)
    total: Any = tail
    for n in range(_DEPTH, 0, -1):
        total = tail + (n / 2) / total
    return torch.where(far, total * math.sqrt(math.pi), torch.exp(-inner * inner) / torch.erfc(inner))


def log1p_over(x: Any) -> Any:
    """log(1 + x) / x."""
    near = torch.abs(x) < 0.5
    inner, far = torch.where(near, x, 0.0), torch.where(near, 1.0, x)
    ratio = inner / (2 + inner)
    close = 2 / (2 + inner) * _polynomial(ratio * ratio, _ATANH)
    return torch.where(near, close, torch.log1p(far) / far)


def log1p_remainder(x: Any) -> Any:
    """log(1 + x) - x, by log(1 + x) = 2 atanh(x / (2 + x))."""
    near = torch.abs(x) < 0.5
    inner, far = torch.where(near, x, 0.0), torch.where(near, 1.0, x)
    ratio = inner / (2 + inner)
    close = ratio * (2 * ratio * ratio * _polynomial(ratio * ratio, _ATANH[1:]) - inner)
    return torch.where(near, close, torch.log1p(far) - far)


def _quotient(above: Sequence[float], below: Sequence[float]) -> list[float]:
    """The series of a quotient of two series."""
    found: list[float] = []
    for n, a in enumerate(above):
        found.append((a - sum(found[k] * below[n - k] for k in range(n))) / below[0])
    return found


_SIN = [(-1) ** n / math.factorial(2 * n + 1) for n in range(_LONG)]
_COS = [(-1) ** n / math.factorial(2 * n + 2) for n in range(_LONG)]
_ERF = [2 / math.sqrt(math.pi) * (-1) ** n / math.factorial(n) / (2 * n + 1) for n in range(_COUNT)]
_EXPM1_REMAINDER = [0.0, 0.0, *(1 / math.factorial(n) for n in range(2, 20))]
_ATANH = [1 / (2 * n + 1) for n in range(18)]
_SINH_OVER = [1 / math.factorial(2 * n + 1) for n in range(16)]
_COSH = [1 / math.factorial(2 * n) for n in range(16)]
_TANH = _quotient(_SINH_OVER, _COSH)
# x coth(x) - 1 = x^2 (coth(x) - 1 / x) / x
_COTH = _quotient([c - s for c, s in zip(_COSH, _SINH_OVER, strict=True)][1:], _SINH_OVER[:-1])
