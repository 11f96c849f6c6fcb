"""``tessera.assume``: what the caller knows of a tensor's values, said in the code."""

from __future__ import annotations

import math
from contextvars import ContextVar

import torch
from torch import Tensor

from tessera.errors import NumericsError, SettingError

CHECKED = ContextVar("assumptions_are_checked", default=False)  # a debugger turns it on


def assume(x: Tensor, low: float = -math.inf, high: float = math.inf) -> Tensor:
    """``x``, of which all values lie from ``low`` to ``high``: ``tessera.check_numerics`` takes it as known.

    It changes nothing and costs nothing, eagerly or compiled. While a debugger asks for it (``CHECKED``), the values
    are looked at.

    Args:
        x: any tensor; the result is a view of it.
        low, high: the least and the largest value it can have.

    Raises:
        SettingError: ``low`` is more than ``high``, or one of them is NaN.
        NumericsError: a value lies outside, and assumptions are checked.

    Example:
        >>> import torch, tessera
        >>> def brightness(image):
        ...     return tessera.assume(image, 0, 255).exp()
        >>> [str(finding.kind) for finding in tessera.check_numerics(brightness, torch.ones(3))]
        ['overflow']
    """
    if not low <= high:
        raise SettingError(
            f"assume(x, {low}, {high}) was called.",
            "The least value comes first, then the largest.",
            "Write tessera.assume(x, 0.0, 1.0).",
        )
    if not torch.compiler.is_compiling() and CHECKED.get():
        _check(x, low, high)
    with torch.fx.traceback.annotate({"tessera_range": (float(low), float(high))}):
        return x.view_as(x)


def _check(x: Tensor, low: float, high: float) -> None:
    outside = ~((x >= low) & (x <= high))
    if bool(outside.any()):
        raise NumericsError(
            f"{int(outside.sum())} of {x.numel()} values lie outside, the first is {float(x[outside][0]):.6g}.",
            f"All were assumed to lie from {low:.6g} to {high:.6g}.",
            "Write the range that they have, or x.clamp(low, high) where they are to be cut off.",
        )
