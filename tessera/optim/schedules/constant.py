"""Constant schedule."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from tessera.optim.hyperparameters import check_number
from tessera.optim.keywords import names_checked


@dataclass(frozen=True)
class Constant:
    """The same value at every step.

    Example:
        >>> constant(0.1)(torch.tensor(7.0))
        tensor(0.1000)
    """

    value: float

    def __post_init__(self) -> None:
        check_number("value", self.value, 1e-3)

    def __call__(self, step: Tensor) -> Tensor:
        return torch.full_like(step, self.value)


constant = names_checked(Constant)
