"""Keeps losses and metrics as tensors while steps run and reads them in bulk, so that no step waits for its loss."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch

from tessera.train.history import History

_PENDING = 1024  # tensors held before they are read: bounds the memory of a long epoch


@dataclass
class Tape:
    """The results of the steps since the last ``write``.

    Attributes:
        losses: the loss of every step that has been read.
    """

    losses: list[float] = field(default_factory=list)
    _sizes: list[int] = field(default_factory=list)
    _metrics: dict[str, list[float]] = field(default_factory=dict)
    _pending: list[torch.Tensor] = field(default_factory=list)
    _pending_metrics: dict[str, list[torch.Tensor]] = field(default_factory=dict)

    def add(self, losses: torch.Tensor, metrics: Mapping[str, torch.Tensor], steps: int, size: int) -> None:
        """Keep ``steps`` losses (0-d for one step, else ``[steps]``) of batches of ``size`` samples."""
        self._pending.append(losses)
        self._sizes += [size] * steps
        for name, values in metrics.items():
            # A looped program that knows only the last step's metric speaks for all of its steps.
            self._pending_metrics.setdefault(name, []).append(values.reshape(-1).expand(steps))
        if len(self._pending) >= _PENDING:
            self.read()

    def read(self) -> None:
        """Turn the tensors held into numbers."""
        if self._pending:
            self.losses += _numbers(self._pending)
        for name, values in self._pending_metrics.items():
            self._metrics.setdefault(name, []).extend(_numbers(values))
        self._pending, self._pending_metrics = [], {}

    def write(self, history: History, steps_in_epoch: int, seconds: float) -> None:
        """Move all results to ``history``, cut into epochs of ``steps_in_epoch``, and start empty."""
        self.read()
        losses, sizes, metrics = self.losses, self._sizes, self._metrics
        self.losses, self._sizes, self._metrics = [], [], {}
        history.loss += losses
        for first in range(0, len(losses), steps_in_epoch):
            epoch = slice(first, first + steps_in_epoch)
            count = len(losses[epoch])
            means = {name: _mean(values[epoch], sizes[epoch]) for name, values in metrics.items()}
            history.add_epoch(count, seconds * count / len(losses), _mean(losses[epoch], sizes[epoch]), means)


def _numbers(tensors: list[torch.Tensor]) -> list[float]:
    numbers: list[float] = torch.cat([t.detach().reshape(-1) for t in tensors]).tolist()
    return numbers


def _mean(values: list[float], sizes: list[int]) -> float:
    return sum(v * s for v, s in zip(values, sizes, strict=True)) / sum(sizes)
