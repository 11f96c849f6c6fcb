"""What a hyper-parameter may be, and the checks of its value."""

from __future__ import annotations

import math
from numbers import Real

import torch
from torch import Tensor

from tessera.errors import OptimizerError

Hyper = float | Tensor
"""A number or a 0-d tensor. While a compiler records an update, a `torch.SymFloat` stands where a float stood; hence
updates use plain arithmetic on them and never `float()`, `math` or a format string."""


def is_zero(value: Hyper) -> bool:
    """Whether a hyper-parameter is the number 0, so that what it scales is left out, its state too.

    Of a symbolic float this asks for the value; a compiler that records the update takes note of the answer. A tensor
    never is zero, for its value may change in the tensor.
    """
    return not isinstance(value, Tensor) and bool(value == 0)


def check_number(
    name: str,
    value: object,
    example: float,
    *,
    low: float = 0.0,
    below: float = math.inf,
    positive: bool = False,
) -> None:
    """Raise unless a hyper-parameter is a number in ``[low, below)``, a symbolic float or a 0-d tensor.

    Args:
        name: as the user writes it.
        value: as the user passed it.
        example: a value to write instead.
        low: the least number allowed.
        below: the first number too large.
        positive: whether 0 is too small.

    Raises:
        OptimizerError: NaN, infinite, out of range, a tensor with dimensions, or not a number.
    """
    if isinstance(value, Real) and not isinstance(value, bool):
        valid = math.isfinite(value) and low <= float(value) < below and not (positive and value == 0)
    elif isinstance(value, Tensor):
        valid = value.ndim == 0
    else:
        valid = isinstance(value, torch.SymFloat)
    if valid:
        return
    if below < math.inf:
        kind = f"a number in [{low:g}, {below:g})"
    elif positive:
        kind = "a finite number above 0"
    elif low > -math.inf:
        kind = f"a finite number of at least {low:g}"
    else:
        kind = "a finite number"
    raise OptimizerError(
        f"{name}={value!r} was passed.",
        f"{name} is {kind}, or a 0-d tensor.",
        f"Write for example {name}={example}.",
    )


def check_betas(betas: object, example: tuple[float, float]) -> None:
    """Raise unless ``betas`` is a pair of numbers in ``[0, 1)``, symbolic floats or 0-d tensors."""
    if not isinstance(betas, tuple | list) or len(betas) != 2:
        raise OptimizerError(
            f"betas={betas!r} was passed.",
            "betas is a pair of numbers in [0, 1).",
            f"Write for example betas={example}.",
        )
    for index, beta in enumerate(betas):
        check_number(f"betas[{index}]", beta, example[index], below=1.0)


def check_flag(name: str, value: object, default: bool) -> None:
    """Raise unless a setting is True or False: any text, "no" too, would count as True.

    Raises:
        OptimizerError: it is neither.
    """
    if isinstance(value, Tensor) or value not in (True, False):
        raise OptimizerError(
            f"{name}={value!r} was passed.", f"{name} is True or False.", f"Write for example {name}={default}."
        )


def as_float(value: object, default: object) -> object:
    """A whole number as a float where ``default`` says that a float is meant, one in a tuple of floats too."""
    if isinstance(default, tuple) and isinstance(value, tuple | list) and len(value) == len(default):
        return tuple(as_float(own, its) for own, its in zip(value, default, strict=True))
    if isinstance(default, float) and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    return value


def as_tensor(value: Hyper, like: Tensor) -> Tensor:
    """A hyper-parameter as a 0-d float64 tensor beside ``like``, for what a symbolic number cannot do: comparisons."""
    device = torch.device("cpu") if like.device.type in {"mps", "xpu"} else like.device
    if isinstance(value, Tensor):
        return value.to(device, torch.float64)
    # A sum, for `torch.full` would ask a symbolic number for its value, and hold for that value alone.
    return torch.zeros((), dtype=torch.float64, device=device) + value
