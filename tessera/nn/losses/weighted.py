"""A loss whose samples and classes count more or less."""

from __future__ import annotations

import inspect
from typing import Any

import torch

from tessera.errors import BatchError, LossError
from tessera.nn.losses.class_weight import ClassWeight, ClassWeights
from tessera.nn.losses.names import LossFunction, resolve_loss
from tessera.nn.losses.reduction import wide
from tessera.nn.losses.terms import SeparableLoss


def weighted_loss(
    loss: str | LossFunction, class_weight: ClassWeights | None = None, device: torch.device | None = None
) -> WeightedLoss:
    """The loss ``(prediction, target, sample_weight=None) -> 0-d tensor`` that weighs samples and classes.

    It is ``sum(w * l) / sum(w)`` over the values l of the loss, w the sample's weight times that of its class, as torch
    has it for classes; 0 with zero gradients where the weights sum to zero. A loss with ``reduction="sum"`` is the sum.

    Args:
        loss: a name, one of torch's losses of (prediction, target), or a callable of one's own with a third parameter
            of the name ``sample_weight`` (None where there are no weights).
        class_weight: a dict class -> weight (missing classes weigh 1), or a list or tensor ``[classes]``; for bce,
            bce_with_logits and sigmoid_focal no is class 0 and yes class 1. Not for a callable of one's own.
        device: where the model is.

    Raises:
        LossError: the loss cannot be weighted, or class_weight is wrong.
    """
    function = resolve_loss(loss)
    weights = None if class_weight is None else ClassWeight.of(class_weight, device)
    return WeightedLoss(function, weights)


class WeightedLoss:
    """See ``weighted_loss``. Two of the same loss and the same class weights are equal.

    Attributes:
        loss: the loss without weights.
        class_weight: what each class weighs.
    """

    def __init__(self, loss: LossFunction, class_weight: ClassWeight | None = None) -> None:
        self.loss, self.class_weight = loss, class_weight
        self._parts = SeparableLoss.of(loss)
        if self._parts is None:
            if class_weight is not None:
                raise LossError(
                    f"class_weight was passed with the loss {_name(loss)}.",
                    "Only losses by name and torch's own say which part of them belongs to which class.",
                    "Weigh the classes in the loss itself, or pass sample_weight.",
                )
            _check_takes_weight(loss)
        elif class_weight is not None:
            self._parts.check_class_weight()

    def __call__(self, prediction: Any, target: Any, sample_weight: torch.Tensor | None = None) -> torch.Tensor:
        """The weighted loss, a 0-d tensor in the dtype of the loss without weights.

        Raises:
            BatchError: the weights are of another shape than ``[batch]`` or the first dimensions of the losses.
            LabelError, LossError: as the loss itself.
        """
        if self._parts is None:
            own: Any = self.loss
            return own(prediction, target, sample_weight=sample_weight)
        values, total, count = self._sums(self._parts, prediction, target, sample_weight)
        if self._parts.reduction == "sum":
            return total.to(values.dtype)
        return (total / torch.where(count == 0, 1, count)).to(values.dtype)

    def sums(
        self, prediction: Any, target: Any, sample_weight: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor] | None:
        """``sum(w * l)`` and ``sum(w)`` of a batch, 0-d; the sums over batches give the exact mean over all of them.

        None where the loss is no mean of parts that are known.
        """
        if self._parts is None or self._parts.reduction == "sum":
            return None
        return self._sums(self._parts, prediction, target, sample_weight)[1:]

    def _sums(
        self, parts: SeparableLoss, prediction: Any, target: Any, sample_weight: torch.Tensor | None
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        values, counts = parts.terms(prediction, target, self.class_weight)
        dtype = wide(values.dtype)
        wider, counts = values.to(dtype), torch.ones_like(values) if counts is None else counts
        if sample_weight is not None:
            spread = _spread(sample_weight, values).to(dtype)
            wider, counts = wider * spread, counts * spread
        return values, wider.sum(), counts.sum(dtype=dtype)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, WeightedLoss):
            return NotImplemented
        return self.loss is other.loss and self.class_weight == other.class_weight

    def __hash__(self) -> int:
        return hash((id(self.loss), self.class_weight))


def _spread(weight: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    """``weight`` of a batch or of the first dimensions of ``values``, ready to be multiplied with them."""
    if values.ndim == 0 and weight.numel() == 1:
        return weight.reshape(())
    if weight.ndim == 0 or weight.shape != values.shape[: weight.ndim]:
        raise BatchError(
            f"The batch has a sample_weight of shape {list(weight.shape)} and losses of shape {list(values.shape)}.",
            "There is one weight for each sample, or for each of the losses.",
            f"Pass sample_weight with the shape {list(values.shape[:1])} or {list(values.shape)}.",
        )
    return weight.reshape(*weight.shape, *(1,) * (values.ndim - weight.ndim))


def _check_takes_weight(loss: LossFunction) -> None:
    """Refuse a callable of the user's without a parameter ``sample_weight``: one of another name may mean anything.

    Raises:
        LossError: likewise.
    """
    try:
        signature = inspect.signature(loss.forward if isinstance(loss, torch.nn.Module) else loss)
    except (TypeError, ValueError):  # a builtin without a signature
        signature = inspect.Signature()
    if "sample_weight" not in signature.parameters:
        raise LossError(
            f"The loss {_name(loss)} takes ({', '.join(signature.parameters)}), and weights were passed.",
            "A loss of one's own weighs its samples itself, in a parameter named sample_weight.",
            "Write def loss(prediction, target, sample_weight): ..., or use a loss by name or of torch's.",
        )


def _name(loss: LossFunction) -> str:
    return getattr(loss, "__name__", type(loss).__name__)
