"""Piecewise linear schedule: straight lines between points."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from tessera.errors import OptimizerError
from tessera.optim.hyperparameters import check_number
from tessera.optim.keywords import names_checked
from tessera.optim.schedules.schedule import check_steps


@dataclass(frozen=True)
class PiecewiseLinear:
    """Straight lines from point to point, constant before the first and after the last.

        value(t) = v_i + (v_(i+1) - v_i) * (t - t_i) / (t_(i+1) - t_i)            for t_i <= t < t_(i+1)

    Args:
        points: ``{step: value}``, at least one. Kept as sorted pairs.

    Example:
        >>> piecewise_linear({0: 0.0, 4: 1.0, 8: 0.5})(torch.tensor([0.0, 2.0, 4.0, 6.0, 9.0]))
        tensor([0.0000, 0.5000, 1.0000, 0.7500, 0.5000])
    """

    points: Mapping[int, float] | tuple[tuple[int, float], ...]

    def __post_init__(self) -> None:
        pairs = tuple((step, value) for step, value in sorted(dict(self.points).items()))
        if not pairs:
            raise OptimizerError(
                "points={} was passed.",
                "points has at least one step and its value.",
                "Write for example points={0: 0.0, 100: 1e-3, 1000: 0.0}.",
            )
        for step, value in pairs:
            check_steps("step", step)
            check_number("value", value, 1e-3)
        object.__setattr__(self, "points", pairs)

    def __call__(self, step: Tensor) -> Tensor:
        pairs = list(dict(self.points).items())
        result = torch.full_like(step, pairs[0][1])
        for (start, low), (end, high) in pairwise(pairs):
            line = low + (high - low) * torch.clamp((step - start) / (end - start), 0.0, 1.0)
            result = torch.where(step >= start, line, result)
        return result


piecewise_linear = names_checked(PiecewiseLinear)
