"""torch's functions that can overflow, divide by zero or leave their domain, under Tessera's name.

Eagerly each is torch's, bit for bit, and looks at no value: that would cost more than the function. What they add is
said before anything runs: where a capture knows that an argument goes wrong (see ``tessera.check_numerics``), torch's
function is warned about and Tessera's is an error.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor


def exp(x: Tensor) -> Tensor:
    """``torch.exp``; an error where ``x`` is known to become too large. See ``stable_exp``."""
    return torch.exp(x)


def exp2(x: Tensor) -> Tensor:
    """``torch.exp2``; an error where ``x`` is known to become too large."""
    return torch.exp2(x)


def log(x: Tensor) -> Tensor:
    """``torch.log``; an error where ``x`` is known to become zero or negative."""
    return torch.log(x)


def log2(x: Tensor) -> Tensor:
    """``torch.log2``; an error where ``x`` is known to become zero or negative."""
    return torch.log2(x)


def log10(x: Tensor) -> Tensor:
    """``torch.log10``; an error where ``x`` is known to become zero or negative."""
    return torch.log10(x)


def log1p(x: Tensor) -> Tensor:
    """``torch.log1p``; an error where ``x`` is known to become -1 or less."""
    return torch.log1p(x)


def sqrt(x: Tensor) -> Tensor:
    """``torch.sqrt``; an error where ``x`` is known to become negative."""
    return torch.sqrt(x)


def rsqrt(x: Tensor) -> Tensor:
    """``torch.rsqrt``; an error where ``x`` is known to become zero or negative."""
    return torch.rsqrt(x)


def reciprocal(x: Tensor) -> Tensor:
    """``torch.reciprocal``; an error where ``x`` is known to become zero."""
    return torch.reciprocal(x)


def div(x: Tensor, y: Tensor | float, *, rounding_mode: str | None = None) -> Tensor:
    """``torch.div``; an error where ``y`` is known to become zero."""
    return torch.div(x, y, rounding_mode=rounding_mode)


def pow(x: Tensor | float, y: Tensor | float) -> Tensor:
    """``torch.pow``; an error where it is known to overflow, or ``x`` to leave the domain of the power."""
    return torch.pow(x, y)  # type: ignore[arg-type]  # torch takes a number on either side


divide, power = div, pow


def softmax(x: Tensor, dim: int, dtype: torch.dtype | None = None) -> Tensor:
    """``torch.softmax``, which is stable as it is."""
    return torch.softmax(x, dim, dtype=dtype)


def log_softmax(x: Tensor, dim: int, dtype: torch.dtype | None = None) -> Tensor:
    """``torch.log_softmax``, the stable spelling of ``log(softmax(x))``."""
    return torch.log_softmax(x, dim, dtype=dtype)


def logsumexp(x: Tensor, dim: int | tuple[int, ...], keepdim: bool = False) -> Tensor:
    """``torch.logsumexp``, the stable spelling of ``log(sum(exp(x)))``."""
    return torch.logsumexp(x, dim, keepdim)


def stable_exp(x: Tensor) -> Tensor:
    """``exp(x)`` that ends near the largest finite number of its dtype, at exp of the largest ``x`` for which it can.

    Below that it is ``torch.exp`` in value and gradient. Above, the value stays where it is and the gradient is zero,
    which is what min(exp(x), largest) has; NaN stays NaN.

    Args:
        x: of any shape; whole numbers become torch's default dtype.
    """
    dtype = x.dtype if x.dtype.is_floating_point else torch.get_default_dtype()
    return torch.exp(x.to(dtype).clamp(max=_largest_exponent(dtype)))


def _largest_exponent(dtype: torch.dtype) -> float:
    """The largest number of the dtype whose exp is finite, less two steps where exp itself may round upwards."""
    information = torch.finfo(dtype)
    limit = math.log(information.max)
    step = 2.0 ** (math.frexp(limit)[1] - 1) * information.eps
    return (math.floor(limit / step) - (2 if information.bits >= 32 else 0)) * step


def uses_checked(function: Any) -> bool:
    """Whether a function's own code names one of the functions here, by itself or behind ``tessera``."""
    code = getattr(function, "__code__", None)
    if code is None:
        return False
    names = set(code.co_names)
    known = [getattr(function, "__globals__", {}).get(name) for name in names]
    by_itself = any(getattr(value, "__module__", "") == __name__ for value in known)
    through_package = any(getattr(value, "__name__", "") == "tessera" for value in known) and bool(names & _CHECKED)
    return by_itself or through_package


_CHECKED = {name for name, value in list(globals().items()) if getattr(value, "__module__", "") == __name__}
