"""Metrics by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from tessera.errors import LabelError
from tessera.nn.losses import LOSSES, cross_entropy, l1
from tessera.nn.losses.shapes import IGNORED, class_dim


@dataclass(frozen=True)
class Average:
    """A metric ``(prediction, target) -> 0-d tensor`` that is a sum over labels divided by their number.

    Attributes:
        name: what a history and errors call it.
        sums: the sum and the number, 0-d both; added up over batches they give the exact average over all of them.
    """

    name: str
    sums: Callable[[torch.Tensor, torch.Tensor], tuple[torch.Tensor, torch.Tensor]]

    def __call__(self, prediction: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        total, count = self.sums(prediction, target)
        return total / count.clamp(min=1)


def _in_top(name: str, most: int) -> Average:
    def sums(prediction: torch.Tensor, target: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        dim = _class_dim(name, prediction, target, most)
        best = prediction.argmax(dim, keepdim=True) if most == 1 else prediction.topk(most, dim).indices
        counted = target != IGNORED
        right = (best == target.unsqueeze(dim)).any(dim) & counted
        return right.sum(dtype=torch.float32), counted.sum(dtype=torch.float32)

    return Average(name, sums)


def _class_dim(name: str, prediction: torch.Tensor, target: torch.Tensor, most: int) -> int:
    """Where the classes are; where two places are possible the losses by name decide."""
    scores = list(prediction.shape)
    if not target.is_floating_point() and target.dtype is not torch.bool:
        for dim in dict.fromkeys((class_dim(prediction, target), prediction.dim() - 1)):
            fits = prediction.dim() and scores[:dim] + scores[dim + 1 :] == list(target.shape)
            if fits and scores[dim] >= most:
                return dim
    raise LabelError(
        f"The metric {name!r} got a prediction of shape {scores} and {target.dtype} labels of shape "
        f"{list(target.shape)}.",
        f"It compares scores [batch, classes]{f' of at least {most} classes' * (most > 1)} with whole-number class "
        "labels [batch].",
        f"Write your own for other labels: metrics={{{name!r}: lambda prediction, target: ...}}.",
    )


accuracy = _in_top("accuracy", 1)
"""Share of labels that got the highest score: of ``[batch, classes, ...]`` or ``[batch, ..., classes]`` for labels
``[batch, ...]``, any whole-number dtype; -100 counts nowhere."""

top_5_accuracy = _in_top("top_5_accuracy", 5)
"""Share of labels among the five highest scores; shapes as for accuracy, with five classes or more."""


class Perplexity:
    """``exp`` of the mean cross-entropy of all labels (Jelinek et al. 1977), a metric with state.

    Prediction and target are those of ``"cross_entropy"``: logits and whole-number labels; -100 counts nowhere.
    """

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget what was measured."""
        self._total = self._count = torch.zeros((), dtype=torch.float64)

    def update(self, prediction: torch.Tensor, target: torch.Tensor) -> None:
        """Measure one more batch."""
        values = cross_entropy(prediction, target, reduction="none").detach()
        self._total = values.sum(dtype=torch.float64) + self._total
        self._count = values.numel() - (target == IGNORED).sum() + self._count

    def compute(self) -> torch.Tensor:
        """The perplexity of what was measured since the last ``reset``, a 0-d tensor; NaN if no label counted."""
        return (self._total / self._count).exp()


# A loss by name is an average as well.
AVERAGES: dict[str, Callable[..., torch.Tensor]] = {
    "accuracy": accuracy,
    "top_5_accuracy": top_5_accuracy,
    "mae": l1,
    **{name: loss for name, loss in LOSSES.items() if name != "auto"},
}
WITH_STATE: dict[str, Callable[[], Perplexity]] = {"perplexity": Perplexity}
