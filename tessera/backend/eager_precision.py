"""Products in the precision that was asked for, where operations run one by one and there is no graph to lower.

The rules are those of ``precision_choice.py`` that need no graph: layer, device, autocast and size. What looks further
is left out: where operands come from (positions, a cast of the user's), what becomes of the result (an angle, a
factorisation), and what ``"auto"`` lifts back after the first batch.
"""

from __future__ import annotations

from typing import Any

import torch

from tessera import torch_internals
from tessera.backend.device_precision import on_device
from tessera.backend.precision_choice import ATTENTION, ATTENTION_BACKWARD, OPERANDS, has_room_for_scores, is_small
from tessera.program import Precision

aten = torch.ops.aten


class EagerPrecision:
    """Runs operators so that products take operands of ``precision``, and return float32 all the same."""

    def __init__(self, precision: Precision) -> None:
        self.precision = precision

    def __call__(self, operator: Any, args: tuple[Any, ...], kwargs: dict[str, Any], layer: str) -> Any:
        """The result of ``operator`` in the layer of this path."""
        dtype = self._dtype(operator, args, layer)
        return operator(*args, **kwargs) if dtype is None else _lowered(operator, args, kwargs, dtype)

    def _dtype(self, operator: Any, args: tuple[Any, ...], layer: str) -> torch.dtype | None:
        if operator not in OPERANDS:
            return None
        values = [args[i] for i in OPERANDS[operator]]
        if not all(value.dtype is torch.float32 for value in values):
            return None
        asked = self.precision.of(layer)
        found = on_device(asked, values[0].device).dtype
        if found is torch.float32 or torch.is_autocast_enabled(values[0].device.type):
            return None
        if operator in (ATTENTION, ATTENTION_BACKWARD):
            q, k = args[operator is ATTENTION_BACKWARD :][:2]
            if not has_room_for_scores(q, k):
                return None
        result = operator(*_without_data(args)) if operator is aten.convolution.default else None
        return None if is_small(operator, values, result, asked) else found


def _without_data(args: tuple[Any, ...]) -> list[Any]:
    return [arg.to("meta") if isinstance(arg, torch.Tensor) else arg for arg in args]


def _lowered(operator: Any, args: tuple[Any, ...], kwargs: dict[str, Any], dtype: torch.dtype) -> Any:
    given = list(args)
    for i in OPERANDS[operator]:
        given[i] = given[i].to(dtype)
    if operator in (aten.addmm.default, aten.baddbmm.default):  # the sum is in float32
        beta, alpha = kwargs.get("beta", 1), kwargs.get("alpha", 1)
        product = torch.matmul(*given[1:3]).float() * alpha
        return product if beta == 0 else product + args[0] * beta
    if operator is aten.convolution.default:
        bias, given[2] = given[2], None
        result = operator(*given).float()
        return result if bias is None else result + bias.view(-1, *[1] * (result.dim() - 2))
    results = operator(*given, **kwargs)
    leaves, nested = torch_internals.flattened(results)
    return nested([leaf.float() if isinstance(leaf, torch.Tensor) and leaf.dtype is dtype else leaf for leaf in leaves])
