"""Linear schedule: a straight line."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from tessera.optim.hyperparameters import check_number
from tessera.optim.keywords import names_checked
from tessera.optim.schedules.schedule import check_steps


@dataclass(frozen=True)
class Linear:
    """From one value to another in a straight line, constant before and after.

        value(t) = init_value + (end_value - init_value) * clip((t - transition_begin) / transition_steps, 0, 1)

    Args:
        init_value: at the beginning.
        end_value: at the end.
        transition_steps: length of the line, in steps.
        transition_begin: steps before the line begins.

    Example:
        >>> linear(0.0, 1.0, transition_steps=4)(torch.tensor([0.0, 1.0, 4.0, 9.0]))
        tensor([0.0000, 0.2500, 1.0000, 1.0000])
    """

    init_value: float
    end_value: float
    transition_steps: int
    transition_begin: int = 0

    def __post_init__(self) -> None:
        check_number("init_value", self.init_value, 1e-3)
        check_number("end_value", self.end_value, 0.0)
        check_steps("transition_steps", self.transition_steps, least=1)
        check_steps("transition_begin", self.transition_begin)

    def __call__(self, step: Tensor) -> Tensor:
        done = torch.clamp((step - self.transition_begin) / self.transition_steps, 0.0, 1.0)
        return self.init_value + (self.end_value - self.init_value) * done


linear = names_checked(Linear)
