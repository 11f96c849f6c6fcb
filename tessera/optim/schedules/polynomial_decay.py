"""Polynomial schedule: a line, bent by a power."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from tessera.optim.hyperparameters import check_number
from tessera.optim.keywords import names_checked
from tessera.optim.schedules.schedule import check_steps


@dataclass(frozen=True)
class PolynomialDecay:
    """From one value to another by a power of what is left, constant before and after.

        left(t)  = 1 - clip((t - transition_begin) / transition_steps, 0, 1)
        value(t) = end_value + (init_value - end_value) * left(t)^power

    Args:
        init_value: at the beginning.
        end_value: at the end.
        power: 1 is a straight line, 2 falls quickly at first.
        transition_steps: length of the transition, in steps.
        transition_begin: steps before it begins.

    References:
        Chen et al., DeepLab: semantic image segmentation, 2017, arXiv:1606.00915 ("poly", power 0.9).

    Example:
        >>> polynomial_decay(1.0, 0.0, power=2.0, transition_steps=4)(torch.tensor([0.0, 2.0, 4.0, 9.0]))
        tensor([1.0000, 0.2500, 0.0000, 0.0000])
    """

    init_value: float
    end_value: float
    power: float
    transition_steps: int
    transition_begin: int = 0

    def __post_init__(self) -> None:
        check_number("init_value", self.init_value, 1e-3)
        check_number("end_value", self.end_value, 0.0)
        check_number("power", self.power, 2.0, positive=True)
        check_steps("transition_steps", self.transition_steps, least=1)
        check_steps("transition_begin", self.transition_begin)

    def __call__(self, step: Tensor) -> Tensor:
        left = 1 - torch.clamp((step - self.transition_begin) / self.transition_steps, 0.0, 1.0)
        return self.end_value + (self.init_value - self.end_value) * left**self.power


polynomial_decay = names_checked(PolynomialDecay)
