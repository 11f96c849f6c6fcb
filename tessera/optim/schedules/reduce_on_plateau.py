"""A learning rate that falls when a loss falls no longer."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from tessera.errors import OptimizerError
from tessera.optim.hyperparameters import check_number
from tessera.optim.keywords import names_checked
from tessera.optim.schedules.schedule import Schedule, check_steps

STATE = "plateau"
"""The state: float64 ``[4]`` with the scale reached, the best value seen, bad observations in a row, and observations
that the cooldown still takes."""


@dataclass(frozen=True)
class ReduceOnPlateau:
    """Multiplied by ``factor`` when the observed value has not improved for more than ``patience`` observations.

        rate = max(base * scale, min_lr)                  scale = 1 at first, scale * factor at each reduction

    ``optimizer.observe(loss)`` tells it a value, once for each evaluation; the scale, the best value and both counts
    are optimizer state, so a compiled step reads them without compiling again and a resumed run goes on with them.
    Arguments and meaning are those of `torch.optim.lr_scheduler.ReduceLROnPlateau`.

    Args:
        base: learning rate, or a schedule of it.
        mode: "min" when less is better, "max" when more is.
        factor: in (0, 1).
        patience: observations without improvement that are let pass.
        threshold: an improvement is larger than this.
        threshold_mode: "rel": a fraction of the best value; "abs": a difference.
        cooldown: observations after a reduction that do not count.
        min_lr: the rate never falls below it.

    Raises:
        OptimizerError: an argument out of its range.

    Example:
        >>> from tessera.optim import SGD
        >>> weight = torch.nn.Parameter(torch.tensor(1.0))
        >>> optimizer = SGD([weight], lr=reduce_on_plateau(0.5, factor=0.1, patience=0))
        >>> _ = optimizer.step(weight.sum())
        >>> for loss in (3.0, 3.0):
        ...     optimizer.observe(loss)
        >>> _ = optimizer.step(weight.sum())
        >>> weight.data
        tensor(0.4500)
    """

    base: float | Schedule
    mode: str = "min"
    factor: float = 0.1
    patience: int = 10
    threshold: float = 1e-4
    threshold_mode: str = "rel"
    cooldown: int = 0
    min_lr: float = 0.0

    def __post_init__(self) -> None:
        if not callable(self.base):
            check_number("lr", self.base, 1e-3)
        check_number("factor", self.factor, 0.1, below=1.0, positive=True)
        check_steps("patience", self.patience)
        check_number("threshold", self.threshold, 1e-4)
        check_steps("cooldown", self.cooldown)
        check_number("min_lr", self.min_lr, 0.0)
        for name, value, allowed in (
            ("mode", self.mode, ("min", "max")),
            ("threshold_mode", self.threshold_mode, ("rel", "abs")),
        ):
            if value not in allowed:
                raise OptimizerError(
                    f"{name}={value!r} was passed.",
                    f'{name} is "{allowed[0]}" or "{allowed[1]}".',
                    f'Write {name}="{allowed[0]}".',
                )

    def init(self, param: Tensor) -> Tensor:
        """The state before the first observation."""
        worst = math.inf if self.mode == "min" else -math.inf
        return torch.tensor([1.0, worst, 0.0, 0.0], dtype=torch.float64, device=param.device)

    def rate(self, base: Tensor | float, state: Tensor) -> Tensor:
        """The learning rate, 0-d."""
        return torch.clamp(state[0] * base, min=self.min_lr)

    def observed(self, state: Tensor, value: float) -> Tensor:
        """The state after an observation."""
        scale, best, bad, cooling = state.tolist()
        if self._is_better(value, best):
            best, bad = value, 0.0
        else:
            bad += 1
        if cooling > 0:
            cooling, bad = cooling - 1, 0.0
        if bad > self.patience:
            scale, bad, cooling = scale * self.factor, 0.0, float(self.cooldown)
        return torch.tensor([scale, best, bad, cooling], dtype=state.dtype, device=state.device)

    def _is_better(self, value: float, best: float) -> bool:
        if math.isinf(best):
            return value < best if self.mode == "min" else value > best
        margin = self.threshold * (best if self.threshold_mode == "rel" else 1.0)
        return value < best - margin if self.mode == "min" else value > best + margin


reduce_on_plateau = names_checked(ReduceOnPlateau)
