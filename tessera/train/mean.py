"""The mean of a loss or a metric over many batches."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from tessera.errors import LossError
from tessera.nn.losses import WeightedLoss, weighted_loss
from tessera.nn.losses.terms import SeparableLoss
from tessera.train.batches import Batch
from tessera.train.named_metrics import Average


class Mean:
    """Adds up a result batch by batch; exact where it is known what the result counts.

    Args:
        name: what the result is called. The ``"loss"`` is weighed by the samples' weights, metrics are not.
        function: ``(prediction, target) -> 0-d tensor``.
    """

    def __init__(self, name: str, function: Callable[..., torch.Tensor]) -> None:
        self.name = name
        counts = isinstance(function, (Average, WeightedLoss)) or SeparableLoss.of(function) is None
        self._function = function if counts else weighted_loss(function)
        self._total = self._count = torch.zeros((), dtype=torch.float64)

    def add(self, prediction: Any, batch: Batch) -> None:
        """Take in a batch.

        Raises:
            LossError: the result is not one number, or the batch has weights that the loss does not take.
        """
        total, count = self._sums(prediction, batch.target, batch.weight if self.name == "loss" else None, batch.size)
        self._total, self._count = total.detach().double() + self._total, self._count + count

    def value(self) -> float:
        """The mean of all batches; NaN where nothing counted."""
        return float(self._total / self._count)

    def _sums(
        self, prediction: Any, target: Any, weight: torch.Tensor | None, size: int
    ) -> tuple[torch.Tensor, torch.Tensor | int]:
        function = self._function
        if isinstance(function, Average):
            return function.sums(prediction, target)
        if weight is not None and not isinstance(function, WeightedLoss):
            function = self._function = weighted_loss(function)
        if not isinstance(function, WeightedLoss):
            value = function(prediction, target)
        elif sums := function.sums(prediction, target, weight):
            return sums
        else:
            value = function(prediction, target, weight)
        if not isinstance(value, torch.Tensor) or value.numel() != 1:
            what = f"shape {list(value.shape)}" if isinstance(value, torch.Tensor) else f"type {type(value).__name__}"
            raise LossError(
                f"{self.name!r} returned a value of {what}.",
                "A loss or a metric is one number, a 0-d tensor.",
                "Reduce it: write .mean() at its end.",
            )
        count = size if weight is None else weight.sum()
        return value.reshape(()) * count, count
