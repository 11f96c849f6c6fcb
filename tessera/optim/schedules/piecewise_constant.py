"""Piecewise constant schedule."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from tessera.optim.hyperparameters import check_number
from tessera.optim.keywords import names_checked
from tessera.optim.schedules.schedule import check_steps


@dataclass(frozen=True)
class PiecewiseConstant:
    """Constant between boundaries, multiplied by a scale at each of them.

    Args:
        init_value: before the first boundary.
        boundaries_and_scales: ``{step: scale}``: from that step on the value is multiplied by the scale. Kept as
            sorted pairs.

    Example:
        >>> piecewise_constant(1.0, {10: 0.5, 20: 0.1})(torch.tensor([9.0, 10.0, 20.0]))
        tensor([1.0000, 0.5000, 0.0500])
    """

    init_value: float
    boundaries_and_scales: Mapping[int, float] | tuple[tuple[int, float], ...]

    def __post_init__(self) -> None:
        check_number("init_value", self.init_value, 1e-3)
        pairs = tuple((step, scale) for step, scale in sorted(dict(self.boundaries_and_scales).items()))
        for step, scale in pairs:
            check_steps("boundary", step)
            check_number("scale", scale, 0.1)
        object.__setattr__(self, "boundaries_and_scales", pairs)

    def __call__(self, step: Tensor) -> Tensor:
        value = torch.full_like(step, self.init_value)
        for boundary, scale in dict(self.boundaries_and_scales).items():
            value = torch.where(step >= boundary, value * scale, value)
        return value


piecewise_constant = names_checked(PiecewiseConstant)
