"""The loss for users who do not name one."""

from __future__ import annotations

import torch

from tessera.errors import LossError
from tessera.nn.losses.classification import cross_entropy
from tessera.nn.losses.reduction import Reduction
from tessera.nn.losses.regression import mse
from tessera.nn.losses.shapes import check_tensors


def auto_loss(
    prediction: torch.Tensor,
    target: torch.Tensor,
    *,
    weight: torch.Tensor | None = None,
    reduction: Reduction = "mean",
) -> torch.Tensor:
    """Cross-entropy for integer targets, mean squared error for floating-point ones of the prediction's shape.

    Raises:
        LossError: there are weights of classes, and no classes.
    """
    check_tensors(prediction, target)
    if target.is_floating_point():
        if weight is not None:
            raise LossError(
                "class_weight was passed, and the targets are numbers.",
                "The loss 'auto' is then the mean squared error, which has no classes.",
                "Leave class_weight out, or pass class numbers, as in labels.long().",
            )
        return mse(prediction, target, reduction=reduction)
    return cross_entropy(prediction, target, weight=weight, reduction=reduction)
