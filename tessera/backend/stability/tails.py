"""Tails of distributions and what else leaves the range while its logarithm does not, as plain PyTorch."""

from __future__ import annotations

from typing import Any

import torch

from tessera.backend.stability.forms import log_one_minus_exp
from tessera.backend.stability.series import expm1_over


def log_erfc(x: Any) -> Any:
    """log(erfc(x))."""
    far = x > 0.5
    tail = torch.where(far, x, 1.0)
    close = torch.log1p(-torch.erf(torch.where(far, 0.0, x)))
    return torch.where(far, torch.log(torch.special.erfcx(tail)) - tail * tail, close)


def log_one_minus_exp_of_exp(x: Any) -> Any:
    """log(1 - exp(-exp(x))), which is x where exp(x) vanishes."""
    far = x < 0
    small = torch.where(far, x, 0.0)
    close = log_one_minus_exp(-torch.exp(torch.where(far, 0.0, x)))
    return torch.where(far, small + torch.log(expm1_over(-torch.exp(small))), close)


def log_i0(x: Any) -> Any:
    """log(i0(x)), of the modified Bessel function."""
    size = torch.abs(x)
    far = size > 8
    close = torch.log(torch.special.i0(torch.where(far, 1.0, size)))
    tail = torch.where(far, size, 8.0)
    return torch.where(far, torch.log(torch.special.i0e(tail)) + tail, close)


def log_power(x: Any, y: Any) -> Any:
    """log(x ** y); of a negative x as it is."""
    below = x < 0
    usual = torch.xlogy(y, torch.where(below, 1.0, x))
    return torch.where(below, torch.log(torch.pow(torch.where(below, x, 1.0), y)), usual)


def erfc_difference(x: Any, y: Any) -> Any:
    """erfc(x) - erfc(y)."""
    x, y = _upper_tail(x, y)
    return torch.erfc(x) - torch.erfc(y)


def sigmoid_gap(x: Any, y: Any) -> Any:
    """sigmoid(x) - sigmoid(y), of the other tail where both are nearly 1."""
    above = (x > 0) & (y > 0)
    return torch.sigmoid(torch.where(above, -y, x)) - torch.sigmoid(torch.where(above, -x, y))


def log_erfc_difference(x: Any, y: Any) -> Any:
    """log(erfc(x) - erfc(y)) for x <= y."""
    x, y = _upper_tail(x, y)
    first = log_erfc(x)
    return first + log_one_minus_exp(log_erfc(y) - first)


def _upper_tail(x: Any, y: Any) -> tuple[Any, Any]:
    """An interval of the same measure, that lies above 0 if it can."""
    below = x + y < 0
    return torch.where(below, -y, x), torch.where(below, -x, y)
