"""Cosine schedule: half a cosine down."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from tessera.optim.hyperparameters import check_number
from tessera.optim.keywords import names_checked
from tessera.optim.schedules.schedule import check_steps


@dataclass(frozen=True)
class CosineDecay:
    """Half a cosine from ``init_value`` down to ``alpha * init_value``, constant afterwards.

        value(t) = init_value * ((1 - alpha) * ((1 + cos(pi * min(t / decay_steps, 1))) / 2)^exponent + alpha)

    Args:
        init_value: at step 0.
        decay_steps: length of the decay, in steps.
        alpha: what is left at the end, as a fraction of ``init_value``.
        exponent: bends the curve; 1 is the plain cosine.

    References:
        Loshchilov and Hutter, SGDR: stochastic gradient descent with warm restarts, 2017, arXiv:1608.03983.

    Example:
        >>> cosine_decay(1.0, decay_steps=4)(torch.tensor([0.0, 2.0, 4.0, 9.0]))
        tensor([1.0000, 0.5000, 0.0000, 0.0000])
    """

    init_value: float
    decay_steps: int
    alpha: float = 0.0
    exponent: float = 1.0

    def __post_init__(self) -> None:
        check_number("init_value", self.init_value, 1e-3)
        check_steps("decay_steps", self.decay_steps, least=1)
        check_number("alpha", self.alpha, 0.1)
        check_number("exponent", self.exponent, 1.0)

    def __call__(self, step: Tensor) -> Tensor:
        cosine = 0.5 * (1 + torch.cos(math.pi * torch.clamp(step / self.decay_steps, 0.0, 1.0)))
        return self.init_value * ((1 - self.alpha) * cosine**self.exponent + self.alpha)


cosine_decay = names_checked(CosineDecay)
