"""Warm-up and cosine schedule."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from tessera.optim.hyperparameters import check_number
from tessera.optim.keywords import names_checked
from tessera.optim.schedules.cosine_decay import CosineDecay
from tessera.optim.schedules.linear import Linear
from tessera.optim.schedules.schedule import check_steps


@dataclass(frozen=True)
class WarmupCosineDecay:
    """A line up to ``peak_value``, then half a cosine down to ``end_value``.

        value(t) = linear(init_value, peak_value, warmup_steps)(t)                       for t < warmup_steps
        value(t) = cosine_decay(peak_value, decay_steps - warmup_steps, alpha, exponent)(t - warmup_steps)
        alpha = end_value / peak_value

    Args:
        init_value: at step 0.
        peak_value: at the end of the warm-up, above 0.
        warmup_steps: length of the line, in steps; 0 for none.
        decay_steps: length of the whole schedule, in steps, the warm-up included.
        end_value: at the end and afterwards.
        exponent: bends the cosine; 1 is the plain one.

    References:
        Goyal et al., Accurate, large minibatch SGD, 2017, arXiv:1706.02677 (warm-up).

    Example:
        >>> warmup_cosine_decay(0.0, 1.0, warmup_steps=2, decay_steps=6)(torch.tensor([0.0, 1.0, 2.0, 4.0, 6.0]))
        tensor([0.0000, 0.5000, 1.0000, 0.5000, 0.0000])
    """

    init_value: float
    peak_value: float
    warmup_steps: int
    decay_steps: int
    end_value: float = 0.0
    exponent: float = 1.0

    def __post_init__(self) -> None:
        check_number("init_value", self.init_value, 0.0)
        check_number("peak_value", self.peak_value, 1e-3, positive=True)
        check_steps("warmup_steps", self.warmup_steps)
        check_steps("decay_steps", self.decay_steps, least=self.warmup_steps + 1)
        check_number("end_value", self.end_value, 0.0)
        check_number("exponent", self.exponent, 1.0)

    def __call__(self, step: Tensor) -> Tensor:
        # `where` computes both sides: a warm-up of 0 steps would divide by zero in the side that is not taken.
        warmup = Linear(self.init_value, self.peak_value, max(self.warmup_steps, 1))
        decay = CosineDecay(
            self.peak_value, self.decay_steps - self.warmup_steps, self.end_value / self.peak_value, self.exponent
        )
        return torch.where(step < self.warmup_steps, warmup(step), decay(step - self.warmup_steps))


warmup_cosine_decay = names_checked(WarmupCosineDecay)
