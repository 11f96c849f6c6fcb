"""Keeps losses and metrics as tensors while steps run and reads them in bulk, so that no step waits for its loss."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import torch

from tessera.errors import SettingError
from tessera.train.history import History

_PENDING = 1024  # entries held before they are read: bounds the memory of a long epoch


@dataclass
class Tape:
    """The results of the steps since the last ``write``: by name, values and their weights ``[2, steps]``."""

    _steps: int = 0
    _read: dict[str, list[np.ndarray]] = field(default_factory=dict)
    _pending: list[tuple[Mapping[str, torch.Tensor], int, int]] = field(default_factory=list)

    def add(self, results: Mapping[str, torch.Tensor], steps: int, size: int) -> None:
        """Keep the results of ``steps`` batches of ``size`` samples.

        Args:
            results: ``loss`` and metrics, each ``[steps]``, or 0-d for one step or to stand for all. A metric
                may be missing; its mean is that of the steps that have it.

        Raises:
            SettingError: a metric has another shape.
        """
        for name, values in results.items():
            if values.numel() not in (1, steps):
                raise SettingError(
                    f"The metric {name!r} returned a tensor of shape {list(values.shape)}.",
                    "A metric returns one number for a batch, a 0-d tensor.",
                    "Reduce it, for example with .mean().",
                )
        self._pending.append((results, steps, size))
        if len(self._pending) >= _PENDING:
            self._read_pending()

    def write(self, history: History, steps_in_epoch: int, seconds: float) -> None:
        """Move all results to ``history``, cut into epochs of ``steps_in_epoch``, and start empty."""
        self._read_pending()
        steps, self._steps = self._steps, 0
        read, self._read = self._read, {}
        epochs = math.ceil(steps / steps_in_epoch)
        means = {}
        for name, blocks in read.items():
            both = np.concatenate(blocks, axis=1)
            if name == "loss":
                history.loss += both[0].tolist()
            # The last epoch may be cut short: what it lacks has no weight.
            values, weights = np.pad(both, ((0, 0), (0, epochs * steps_in_epoch - steps))).reshape(2, epochs, -1)
            means[name] = ((values * weights).sum(1) / np.maximum(weights.sum(1), 1)).tolist()
        counts = [steps_in_epoch] * (epochs - 1) + [steps - steps_in_epoch * (epochs - 1)]
        history.add_epochs(counts, seconds / steps, means)

    def _read_pending(self) -> None:
        """Turn the tensors held into numbers."""
        pending, self._pending = self._pending, []
        steps = [steps for _, steps, _ in pending]
        weights = np.repeat([size for *_, size in pending], steps).astype(np.float64)
        for name in {name: None for results, *_ in pending for name in results}:
            there = np.repeat([name in results for results, *_ in pending], steps)
            tensors = [results[name].reshape(-1).expand(steps) for results, steps, _ in pending if name in results]
            block = np.zeros((2, len(weights)))
            block[0, there] = torch.cat(tensors).double().cpu().numpy()
            block[1] = weights * there
            self._read.setdefault(name, [np.zeros((2, self._steps))]).append(block)
        self._steps += len(weights)
