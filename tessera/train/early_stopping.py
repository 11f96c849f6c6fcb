"""Stop when the held-out result gets no better, and keep the best weights."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import torch

from tessera.errors import SettingError


@dataclass(frozen=True, kw_only=True)
class EarlyStopping:
    """When to stop.

    Attributes:
        patience: epochs without improvement that are waited for.
        min_delta: by how much a result must be better to count.
        monitor: a name among the validation results (among the training results when there is no validation).
        better: whether a lower or a higher result is better; None knows it for ``loss`` and ``accuracy``.
        restore_best: put the weights of the best epoch back at the end of training.
    """

    patience: int
    min_delta: float = 0.0
    monitor: str = "loss"
    better: Literal["lower", "higher"] | None = None
    restore_best: bool = True

    def __post_init__(self) -> None:
        if self.patience < 0 or self.min_delta < 0:
            raise SettingError(
                f"EarlyStopping got patience={self.patience} and min_delta={self.min_delta}.",
                "Both are zero or more.",
                "Write for example EarlyStopping(patience=3).",
            )
        if self.better is None and self.monitor not in ("loss", "accuracy"):
            raise SettingError(
                f"EarlyStopping got monitor={self.monitor!r}, and whether higher is better is not known.",
                "For 'loss' and 'accuracy' it is known, for other results it is said.",
                f"Write EarlyStopping(patience={self.patience}, monitor={self.monitor!r}, better='higher') or 'lower'.",
            )

    @property
    def sign(self) -> int:
        """-1 where higher is better: results times ``sign`` are better when they are lower."""
        return -1 if self.better == "higher" or (self.better is None and self.monitor == "accuracy") else 1


@dataclass
class Watch:
    """One training under an EarlyStopping.

    Attributes:
        best_epoch: the epoch of the best result, from 1; 0 before the first.
    """

    rule: EarlyStopping
    module: torch.nn.Module
    best_epoch: int = 0
    _epoch: int = 0
    _best: float = math.inf
    _weights: dict[str, torch.Tensor] = field(default_factory=dict)

    def should_stop(self, results: Mapping[str, float]) -> bool:
        """Look at the results of one more epoch.

        Raises:
            SettingError: the monitored name is not among them.
        """
        if self.rule.monitor not in results:
            raise SettingError(
                f"EarlyStopping monitors {self.rule.monitor!r}.",
                f"The results of an epoch are {', '.join(map(repr, results))}.",
                "Name one of them, or pass the metric: metrics={...}.",
            )
        self._epoch += 1
        result = results[self.rule.monitor] * self.rule.sign
        if math.isnan(result):
            result = math.inf
        if self.best_epoch == 0 or result < self._best - self.rule.min_delta:
            self._best, self.best_epoch = result, self._epoch
            if self.rule.restore_best:
                self._weights = {
                    key: value.detach().clone() if isinstance(value, torch.Tensor) else value
                    for key, value in self.module.state_dict().items()
                }
        return self._epoch - self.best_epoch >= max(1, self.rule.patience)

    def restore(self) -> bool:
        """Put the best weights back in place; False when they are there already or were not kept."""
        if not self._weights or self.best_epoch == self._epoch:
            return False
        self.module.load_state_dict(self._weights)
        return True
