"""Checks labels before a training step sees them, so that a wrong one changes no weights."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F

from tessera.errors import LabelError, TesseraError
from tessera.nn import losses
from tessera.nn.losses import LossFunction
from tessera.train.batches import Batch, describe
from tessera.train.probe import probe

TRAINING_DATA = "training data"


@dataclass
class LabelCheck:
    """Holds labels against what the loss of a training can take.

    Losses by name and torch's own are known. They are asked themselves, about the prediction of a copy of the model
    for the first batch; what they would read from every label is checked as a range. Other losses are left alone.

    Attributes:
        in_memory: all labels of datasets in memory, by the name of the dataset; checked once, with the first batch.
    """

    module: torch.nn.Module
    loss: LossFunction
    in_memory: Mapping[str, torch.Tensor] = field(default_factory=dict)
    _range: Range | None = None

    def begin(self, batch: Batch) -> None:
        """Look at the first batch and at all labels in memory.

        Raises:
            LabelError: the loss cannot take these labels.
            LossError: a loss by name cannot take this prediction.
        """
        prediction = probe(self.module, batch) if _is_known(self.loss) else None
        if prediction is None:
            return
        self._range = Range.of(self.loss, prediction, batch.target)
        if self._range:
            for name, labels in self.in_memory.items():
                self._range.check(labels, f"The {name}")
        self.check(batch, 1)
        self._ask(prediction, batch.target, 1)

    def check(self, batch: Batch, number: int) -> None:
        """Look at the labels of one more batch, where looking makes no device wait.

        Raises:
            LabelError: a label is out of range.
        """
        if self._range and TRAINING_DATA not in self.in_memory and batch.target.device.type == "cpu":
            self._range.check(batch.target, f"Batch {number}")

    def explain(self, batch: Batch, number: int) -> None:
        """A step has failed with an error of torch's: raise ``LabelError`` if the labels are what is wrong."""
        prediction = probe(self.module, batch) if _is_known(self.loss) else None
        if prediction is not None:
            if self._range:
                self._range.check(batch.target, f"Batch {number}")
            self._ask(prediction, batch.target, number)

    def _ask(self, prediction: Any, target: Any, number: int) -> None:
        try:
            with torch.no_grad(), warnings.catch_warnings(action="ignore"):  # the step itself will warn
                self.loss(prediction, target)
        except TesseraError:
            raise
        except (RuntimeError, ValueError, IndexError, TypeError) as error:
            raise LabelError(
                f"Batch {number} has {describe(target)} as labels and {describe(prediction)} as prediction. "
                f"{_name(self.loss)} says: {str(error).splitlines()[0].rstrip('.')}.",
                "Class labels are int64 [batch]; probabilities and other values are floats of the prediction's shape.",
                "Write labels.long() for classes, or labels.float().view_as(prediction) for values.",
            ) from error


@dataclass(frozen=True)
class Range:
    """The labels a loss can take, ends included.

    Attributes:
        ignored: a label outside the range that the loss skips.
        why: where the range comes from.
    """

    low: int
    high: int
    ignored: int | None
    why: str

    @classmethod
    def of(cls, loss: LossFunction, prediction: Any, target: Any) -> Range | None:
        """The range for a loss that is known to have one."""
        if not isinstance(prediction, torch.Tensor) or not isinstance(target, torch.Tensor):
            return None
        if loss in _BINARY or isinstance(loss, _BINARY_MODULES):
            return cls(0, 1, None, f"{_name(loss)} compares with the probability of yes")
        by_class = loss in _BY_CLASS or isinstance(loss, _BY_CLASS_MODULES)
        if not by_class or not prediction.dim() or target.is_floating_point():
            return None
        # Losses by name also read [batch, seq, classes]; torch's layout is [batch, classes, ...].
        last = loss in losses.LOSSES.values() and prediction.dim() == 3 and prediction.shape[:2] == target.shape
        classes = prediction.shape[-1 if last or prediction.dim() == 1 else 1]
        ignored = getattr(loss, "ignore_index", -100)
        return cls(0, classes - 1, ignored, f"the model answers with {classes} classes")

    def check(self, labels: torch.Tensor, name: str) -> None:
        """Raise ``LabelError`` if a label is outside."""
        if labels.dtype is torch.int64 and labels.numel():  # the usual case, in one pass
            least, most = labels.aminmax()
            if self.low <= int(least) and int(most) <= self.high:
                return
        wrong = (labels < self.low) | (labels > self.high)
        if self.ignored is not None:
            wrong &= labels != self.ignored
        if wrong.any():
            found = labels[wrong]
            raise LabelError(
                f"{name} has labels that are out of range: {found.numel()} of {labels.numel()}, "
                f"from {found.min().item():g} to {found.max().item():g}.",
                f"Labels lie between {self.low} and {self.high}: {self.why}.",
                "Number the classes from 0, or give the last layer one output for every class."
                if self.ignored is not None
                else "Write labels as 0 and 1, or use loss='mse' for other values.",
            )


_BY_CLASS = (losses.auto_loss, losses.cross_entropy, losses.nll, losses.focal, F.cross_entropy, F.nll_loss)
_BY_CLASS_MODULES = (torch.nn.CrossEntropyLoss, torch.nn.NLLLoss)
_BINARY = (
    losses.bce,
    losses.bce_with_logits,
    losses.sigmoid_focal,
    F.binary_cross_entropy,
    F.binary_cross_entropy_with_logits,
)
_BINARY_MODULES = (torch.nn.BCELoss, torch.nn.BCEWithLogitsLoss)


def _is_known(loss: LossFunction) -> bool:
    """Whether calling ``loss`` once more has no side effects: it is ours or torch's."""
    home = loss.__module__ if hasattr(loss, "__name__") else type(loss).__module__
    return loss in losses.LOSSES.values() or home in ("torch.nn.functional", "torch.nn.modules.loss")


def _name(loss: LossFunction) -> str:
    return getattr(loss, "__name__", type(loss).__name__)
