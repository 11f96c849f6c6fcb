"""Schedules one after the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from tessera.errors import OptimizerError
from tessera.optim.keywords import names_checked
from tessera.optim.schedules.schedule import Schedule, check_schedule, check_steps


@dataclass(frozen=True)
class Join:
    """Each schedule until its boundary, counted anew from there.

        value(t) = schedules[i](t - boundaries[i-1])                 for boundaries[i-1] <= t < boundaries[i]

    Args:
        schedules: in order.
        boundaries: steps at which the next one begins, rising; one fewer than schedules.

    Example:
        >>> from tessera.optim import constant, linear
        >>> join([linear(0.0, 1.0, 2), constant(1.0), linear(1.0, 0.0, 2)], [2, 5])(torch.tensor([1.0, 4.0, 6.0]))
        tensor([0.5000, 1.0000, 0.5000])
    """

    schedules: Sequence[Schedule]
    boundaries: Sequence[int]

    def __post_init__(self) -> None:
        schedules, boundaries = tuple(self.schedules), tuple(self.boundaries)
        for index, schedule in enumerate(schedules):
            check_schedule(f"schedules[{index}]", schedule)
        for index, boundary in enumerate(boundaries):
            check_steps(f"boundaries[{index}]", boundary)
        rising = all(a < b for a, b in pairwise(boundaries))
        if len(boundaries) != len(schedules) - 1 or not rising:
            raise OptimizerError(
                f"{len(schedules)} schedules and boundaries={list(boundaries)} were passed.",
                "There is one boundary between each schedule and the next, and boundaries rise.",
                "Write for example join([linear(0.0, 1e-3, 100), cosine_decay(1e-3, 900)], [100]).",
            )
        object.__setattr__(self, "schedules", schedules)
        object.__setattr__(self, "boundaries", boundaries)

    def __call__(self, step: Tensor) -> Tensor:
        result = _value(self.schedules[0], step)
        for boundary, schedule in zip(self.boundaries, self.schedules[1:], strict=True):
            # `where` computes both sides, and a schedule need not know of steps before its own first.
            result = torch.where(step < boundary, result, _value(schedule, torch.clamp(step - boundary, min=0.0)))
        return result


def _value(schedule: Schedule, step: Tensor) -> Tensor:
    value = schedule(step)
    return value if isinstance(value, Tensor) else torch.full_like(step, value)


join = names_checked(Join)
