"""Stop when the held-out result gets no better, and keep the best weights."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import torch

from tessera.errors import SettingError
from tessera.train.callbacks.callback import Callback
from tessera.train.run import Run


@dataclass(kw_only=True)
class EarlyStopping(Callback):
    """When to stop: a callback, and what ``fit(early_stopping=3)`` makes.

    Attributes:
        patience: validations without improvement that are waited for; epochs where there is no validation.
        min_delta: by how much a result must be better to count.
        monitor: a name among the validation results (among the training results when there is no validation).
        better: whether a lower or a higher result is better; None knows it for ``loss`` and ``accuracy``.
        restore_best: put the best weights back at the end of training.
        best_step: steps that were done at the best result; 0 before the first.
        best_epoch: the epoch of it, from 1.
    """

    patience: int
    min_delta: float = 0.0
    monitor: str = "loss"
    better: Literal["lower", "higher"] | None = None
    restore_best: bool = True
    best_step: int = field(default=0, init=False)
    best_epoch: int = field(default=0, init=False)
    _best: float = field(default=math.inf, init=False)
    _waited: int = field(default=0, init=False)
    _weights: dict[str, Any] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        counted = isinstance(self.patience, int) and not isinstance(self.patience, bool)
        if not (counted and self.patience >= 0 and self.min_delta >= 0):
            raise SettingError(
                f"EarlyStopping got patience={self.patience!r} and min_delta={self.min_delta}.",
                "The one is a whole number of validations, the other a number; both are zero or more.",
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

    def begin(self, run: Run) -> None:
        if run.step == 0:  # what another training has left here counts no longer
            self.best_step = self.best_epoch = self._waited = 0
            self._best, self._weights = math.inf, {}

    def measured(self, run: Run, results: Mapping[str, float]) -> None:
        """Look at the results of one more validation.

        Raises:
            SettingError: the monitored name is not among them.
        """
        if self.monitor not in results:
            raise SettingError(
                f"EarlyStopping monitors {self.monitor!r}.",
                f"The results of an epoch are {', '.join(map(repr, results))}.",
                "Name one of them, or pass the metric: metrics={...}.",
            )
        result = results[self.monitor] * self.sign
        if math.isnan(result):
            result = math.inf
        if self.best_step == 0 or result < self._best - self.min_delta:
            self._best, self._waited, self.best_step, self.best_epoch = result, 0, run.step, run.epoch
            if self.restore_best:
                self._weights = {
                    key: value.detach().clone() if isinstance(value, torch.Tensor) else value
                    for key, value in run.module.state_dict().items()
                }
        else:
            self._waited += 1
        if self._waited >= max(1, self.patience):
            run.stop(f"no better {self.monitor} since epoch {self.best_epoch}")

    def end(self, run: Run) -> None:
        """Put the best weights back in place, unless they are there already or an error ended the training."""
        if self._weights and self.best_step != run.step and run.error is None:
            run.module.load_state_dict(self._weights)
            run.stopped += f"; the weights of epoch {self.best_epoch} are back"

    def state_dict(self) -> dict[str, Any]:
        return {
            "best_step": self.best_step,
            "best_epoch": self.best_epoch,
            "best": self._best,
            "waited": self._waited,
            "weights": dict(self._weights),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.best_step, self.best_epoch, self._waited = state["best_step"], state["best_epoch"], state["waited"]
        self._best, self._weights = state["best"], dict(state["weights"])
