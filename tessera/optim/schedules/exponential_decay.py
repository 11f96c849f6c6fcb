"""Exponential schedule, smooth or in stairs."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from tessera.optim.hyperparameters import check_number
from tessera.optim.keywords import names_checked
from tessera.optim.schedules.schedule import check_steps


@dataclass(frozen=True)
class ExponentialDecay:
    """Multiplied by ``decay_rate`` every ``transition_steps``, smoothly or in stairs.

        value(t) = init_value * decay_rate^((t - transition_begin) / transition_steps)

    Args:
        init_value: until ``transition_begin``.
        transition_steps: steps in which the value changes by ``decay_rate``.
        decay_rate: above 0; below 1 the value falls.
        transition_begin: steps before the decay begins.
        staircase: round the exponent down, so that the value falls in stairs.
        end_value: where the value stops falling (or rising).

    Example:
        >>> exponential_decay(1.0, transition_steps=10, decay_rate=0.5)(torch.tensor([0.0, 10.0, 20.0]))
        tensor([1.0000, 0.5000, 0.2500])
    """

    init_value: float
    transition_steps: int
    decay_rate: float
    transition_begin: int = 0
    staircase: bool = False
    end_value: float | None = None

    def __post_init__(self) -> None:
        check_number("init_value", self.init_value, 1e-3)
        check_steps("transition_steps", self.transition_steps, least=1)
        check_number("decay_rate", self.decay_rate, 0.9, positive=True)
        check_steps("transition_begin", self.transition_begin)
        if self.end_value is not None:
            check_number("end_value", self.end_value, 1e-5)

    def __call__(self, step: Tensor) -> Tensor:
        exponent = torch.clamp((step - self.transition_begin) / self.transition_steps, min=0.0)
        value = self.init_value * self.decay_rate ** (torch.floor(exponent) if self.staircase else exponent)
        if self.end_value is None:
            return value
        falls = self.decay_rate < 1
        return torch.clamp(value, min=self.end_value) if falls else torch.clamp(value, max=self.end_value)


exponential_decay = names_checked(ExponentialDecay)
