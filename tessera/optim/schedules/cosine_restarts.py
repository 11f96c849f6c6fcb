"""Cosine schedule with warm restarts."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from tessera.errors import OptimizerError
from tessera.optim.hyperparameters import check_number
from tessera.optim.keywords import names_checked
from tessera.optim.schedules.schedule import check_steps


@dataclass(frozen=True)
class CosineRestarts:
    """Half a cosine from ``init_value`` down to ``end_value``, again and again, each period longer than the last.

        period i begins at  b_i = first_steps * (growth^i - 1) / (growth - 1)     (i * first_steps when growth is 1)
        and lasts           n_i = first_steps * growth^i                           steps
        value(t) = end_value + (init_value - end_value) * (1 + cos(pi * (t - b_i) / n_i)) / 2

    `torch.optim.lr_scheduler.CosineAnnealingWarmRestarts` calls the three T_0, T_mult and eta_min.

    Args:
        init_value: at the beginning of every period.
        first_steps: length of the first period, in steps.
        growth: how many times longer each period is than the one before it; a whole number, at least 1.
        end_value: what a period falls to.

    References:
        Loshchilov and Hutter, SGDR: stochastic gradient descent with warm restarts, 2017, arXiv:1608.03983.

    Example:
        >>> cosine_restarts(1.0, first_steps=2, growth=2)(torch.tensor([0.0, 1.0, 2.0, 4.0, 6.0]))
        tensor([1.0000, 0.5000, 1.0000, 0.5000, 1.0000])
    """

    init_value: float
    first_steps: int
    growth: int = 1
    end_value: float = 0.0

    def __post_init__(self) -> None:
        check_number("init_value", self.init_value, 1e-3)
        check_steps("first_steps", self.first_steps, least=1)
        if not isinstance(self.growth, int) or self.growth < 1:
            raise OptimizerError(
                f"growth={self.growth!r} was passed.",
                "growth is a whole number of at least 1: how many times longer each period is.",
                "Write growth=1 for periods of one length, or growth=2.",
            )
        check_number("end_value", self.end_value, 0.0)

    def __call__(self, step: Tensor) -> Tensor:
        if self.growth == 1:
            done = torch.remainder(step, self.first_steps) / self.first_steps
        else:
            periods = 1 + step * (self.growth - 1) / self.first_steps
            number = torch.floor(torch.log(periods) / math.log(self.growth))
            # The logarithm may be off by a rounding at the very step of a restart; powers of whole numbers are not.
            number = torch.where(self.growth ** (number + 1) <= periods, number + 1, number)
            number = torch.where(self.growth**number > periods, number - 1, number)
            length = self.first_steps * self.growth**number
            done = (step - self.first_steps * (self.growth**number - 1) / (self.growth - 1)) / length
        return self.end_value + (self.init_value - self.end_value) * 0.5 * (1 + torch.cos(math.pi * done))


cosine_restarts = names_checked(CosineRestarts)
