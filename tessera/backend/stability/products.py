"""Products, powers and quotients that leave the range or are nearly 1, as plain PyTorch."""

from __future__ import annotations

import functools
import math
import operator
from typing import Any

import torch

from tessera.backend.stability.forms import expm1
from tessera.backend.stability.series import expm1_over, log1p_over


def log_prod(x: Any, size: Any, dims: tuple[int, ...]) -> Any:
    """log(prod(x)) of numbers of any sign, where size = log(abs(x))."""
    odd = torch.sum(x < 0, dims, keepdim=True) % 2 == 1
    found = torch.sum(size, dims, keepdim=True)
    return torch.where(odd & (found > -math.inf), math.nan, found)


def log_cumprod(x: Any, size: Any, dim: int) -> Any:
    """log(cumprod(x)) of numbers of any sign, where size = log(abs(x))."""
    odd = torch.cumsum(x < 0, dim) % 2 == 1
    found = torch.cumsum(size, dim)
    return torch.where(odd & (found > -math.inf), math.nan, found)


def log_size_of_one_plus(x: Any) -> Any:
    """log(abs(1 + x))."""
    near = x > -0.5
    far = torch.log(torch.abs(1 + torch.where(near, 1.0, x)))
    return torch.where(near, torch.log1p(torch.where(near, x, 0.0)), far)


def power_minus_one(x: Any, exponent: float) -> Any:
    """(1 + x) ** exponent - 1."""
    if exponent > 0 and exponent % 1 == 0:
        return power_minus_one_over(x, exponent) * x
    near = torch.abs(x) < 0.5
    close = expm1(torch.log1p(torch.where(near, x, 0.0)) * exponent)
    return torch.where(near, close, torch.pow(1 + torch.where(near, 1.0, x), exponent) - 1)


def power_minus_one_over(x: Any, exponent: float) -> Any:
    """((1 + x) ** exponent - 1) / x."""
    if exponent > 0 and exponent % 1 == 0:
        return _by_doubling(1 + x, int(exponent))[0]
    near = torch.abs(x) < 0.5
    inner, far = torch.where(near, x, 0.0), torch.where(near, 1.0, x)
    close = expm1_over(torch.log1p(inner) * exponent) * log1p_over(inner) * exponent
    return torch.where(near, close, (torch.pow(1 + far, exponent) - 1) / far)


def _by_doubling(base: Any, exponent: int) -> tuple[Any, Any]:
    """``(base ** n - 1) / (base - 1)`` and ``base ** n``: no terms of these sums cancel for a positive base."""
    if exponent == 1:
        return torch.ones_like(base), base
    quotient, power = _by_doubling(base, exponent // 2)
    quotient, power = quotient * (power + 1), power * power
    return (quotient * base + 1, power * base) if exponent % 2 else (quotient, power)


def root_minus_one(x: Any, exponent: float) -> Any:
    """X ** exponent - 1, with an exponent that is not whole."""
    near = (x > 0.5) & (x < 2)
    close = expm1(torch.log(torch.where(near, x, 1.0)) * exponent)
    return torch.where(near, close, torch.pow(torch.where(near, 1.0, x), exponent) - 1)


def prod_minus_one(x: Any, dims: tuple[int, ...]) -> Any:
    """prod(1 + x) - 1."""
    near = torch.all(torch.abs(x) < 0.5, dims[0], keepdim=True)
    close = expm1(torch.sum(torch.log1p(torch.where(near, x, 0.0)), dims, keepdim=True))
    return torch.where(near, close, torch.prod(torch.where(near, 0.0, x) + 1, dims[0], keepdim=True) - 1)


def power_of_prod(x: Any, dims: tuple[int, ...], exponent: float) -> Any:
    """prod(x) ** exponent, with an exponent that is not whole."""
    odd = torch.sum(x < 0, dims, keepdim=True) % 2 == 1
    zero = torch.amin(torch.abs(x), dims, keepdim=True) == 0
    logs = torch.log(torch.abs(torch.where(zero, 1.0, x)))
    found = torch.exp(exponent * torch.sum(logs, dims, keepdim=True))
    found = torch.where(odd, math.nan, found)
    return torch.where(zero, 0.0 if exponent > 0 else math.inf, found)


def product_of_powers(x: Any, dims: tuple[int, ...], exponent: float) -> Any:
    """The same where all powers together are at most the largest factor, so that their product can be had as it is."""
    odd = torch.sum(x < 0, dims, keepdim=True) % 2 == 1
    zero = torch.amin(torch.abs(x), dims, keepdim=True) == 0
    found = torch.pow(torch.abs(torch.where(zero, 1.0, x)), exponent)
    for dim in dims:
        found = torch.prod(found, dim, keepdim=True)
    return torch.where(zero, 0.0, torch.where(odd, math.nan, found))


def log_product(least: float, number: float, exponents: tuple[float, ...], *values: Any) -> Any:
    """log(number * x^m * y^n * ...) as it is, and by factors where the product leaves the normal numbers."""
    size = torch.abs(_multiplied(number, exponents, [value.detach() for value in values]))
    inside = (size >= least) & torch.isfinite(size)
    whole = torch.log(_multiplied(number, exponents, [torch.where(inside, value, 1.0) for value in values]))
    parts, odd = [], []
    for value, exponent in zip(values, exponents, strict=True):
        far = torch.where(inside, 1.0, value)
        if exponent % 1 == 0:
            odd += [far < 0] if exponent % 2 else []
            far = torch.abs(far)
        parts.append(torch.log(far) * exponent)
    apart = functools.reduce(operator.add, parts) + math.log(number)
    if odd:
        apart = torch.where(functools.reduce(operator.xor, odd), math.nan, apart)
    return torch.where(inside, whole, apart)


def log_quotient(a: Any, b: Any, least: float) -> Any:
    """log(a / b), where ``least`` is the least normal number."""
    quotient = a.detach() / b.detach()
    near = (quotient > 0.5) & (quotient < 2)
    away = torch.where(near, 2.0, a), torch.where(near, 1.0, b)
    below = torch.where(near, b, 1.0)
    close = torch.log1p(torch.where(near, a - b, 0.0) / below)
    return torch.where(near, close, log_product(least, 1.0, (1.0, -1.0), *away))


def _multiplied(number: float, exponents: tuple[float, ...], values: list[Any]) -> Any:
    powers = [
        (value if abs(e) == 1 else torch.pow(value, abs(e)), e) for value, e in zip(values, exponents, strict=True)
    ]
    above, below = [power for power, e in powers if e > 0], [power for power, e in powers if e < 0]
    found = functools.reduce(operator.mul, above) if above else number
    found = found * number if above and number != 1 else found
    return found / functools.reduce(operator.mul, below) if below else found
