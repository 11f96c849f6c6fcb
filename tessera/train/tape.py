"""Keeps losses and metrics as tensors while steps run and reads them in bulk, so that no step waits for its loss."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from tessera.errors import SettingError
from tessera.train.history import History

_PENDING = 1024  # entries held before they are read: bounds the memory of a long epoch


@dataclass
class Tape:
    """The results of the steps since the last epoch that was closed: by name, values and their weights ``[2, steps]``.

    Attributes:
        history: gets the losses when they are read, and the means of closed epochs.
    """

    history: History
    _steps: int = 0
    _read: dict[str, list[np.ndarray]] = field(default_factory=dict)
    _pending: list[tuple[Mapping[str, torch.Tensor], int, int]] = field(default_factory=list)
    _pending_steps: int = 0

    @property
    def steps(self) -> int:
        """Steps since the last epoch that was closed."""
        return self._steps + self._pending_steps

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
        self._pending_steps += steps
        if len(self._pending) >= _PENDING:
            self.read()

    def read(self) -> None:
        """Turn the tensors held into numbers, and add the losses to the history."""
        pending, self._pending, self._pending_steps = self._pending, [], 0
        if not pending:
            return
        steps = [steps for _, steps, _ in pending]
        weights = np.repeat([size for *_, size in pending], steps).astype(np.float64)
        for name in dict.fromkeys([*self._read, *(name for results, *_ in pending for name in results)]):
            there = np.repeat([name in results for results, *_ in pending], steps)
            tensors = _flat([(results[name], steps) for results, steps, _ in pending if name in results])
            block = np.zeros((2, len(weights)))
            if tensors is not None:
                block[0, there] = tensors.double().cpu().numpy()
            block[1] = weights * there
            self._read.setdefault(name, [np.zeros((2, self._steps))]).append(block)
            if name == "loss":
                self.history.loss += block[0].tolist()
        self._steps += len(weights)

    def last(self) -> dict[str, float]:
        """The results of the last step that was read."""
        ends = {name: blocks[-1][:, -1] for name, blocks in self._read.items() if blocks[-1].size}
        return {name: float(value) for name, (value, weight) in ends.items() if weight}

    def close(self, steps_in_epoch: int | None, seconds: float) -> None:
        """Close epochs of ``steps_in_epoch`` (None: one epoch), which took ``seconds``: their means go to the history.

        The last one may be cut short.
        """
        self.read()
        steps, self._steps = self._steps, 0
        read, self._read = self._read, {}
        if not steps:
            return
        steps_in_epoch = steps_in_epoch or steps
        epochs = math.ceil(steps / steps_in_epoch)
        means = {}
        for name, blocks in read.items():
            both = np.concatenate(blocks, axis=1)
            # What the last epoch lacks has no weight.
            values, weights = np.pad(both, ((0, 0), (0, epochs * steps_in_epoch - steps))).reshape(2, epochs, -1)
            means[name] = ((values * weights).sum(1) / np.maximum(weights.sum(1), 1)).tolist()
        counts = [steps_in_epoch] * (epochs - 1) + [steps - steps_in_epoch * (epochs - 1)]
        self.history.add_epochs(counts, seconds / steps, means)

    def state_dict(self) -> dict[str, Any]:
        """The results of the running epoch."""
        self.read()
        read = {name: np.concatenate(blocks, axis=1) for name, blocks in self._read.items()}
        return {"steps": self._steps, "read": read}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from ``state_dict()``."""
        self._steps, self._pending, self._pending_steps = state["steps"], [], 0
        self._read = {name: [block] for name, block in state["read"].items()}


def _flat(values: list[tuple[torch.Tensor, int]]) -> torch.Tensor | None:
    """All values in one tensor, each as often as it stands for a step; None for no values."""
    if not values:
        return None
    if all(steps == 1 and value.dim() == 0 for value, steps in values):  # a step at a time: thousands of them
        return torch.stack([value for value, _ in values])
    return torch.cat([value.reshape(-1).expand(steps) for value, steps in values])
