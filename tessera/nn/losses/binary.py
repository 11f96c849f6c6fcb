"""Losses of yes or no, for each output by itself."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from tessera.nn.losses.classification import focused
from tessera.nn.losses.reduction import Reduction, reduced
from tessera.nn.losses.shapes import alike


def bce(prediction: torch.Tensor, target: torch.Tensor, *, reduction: Reduction = "mean") -> torch.Tensor:
    """Binary cross-entropy of probabilities; the target may be bool or integer, and has the prediction's shape."""
    return F.binary_cross_entropy(*alike(prediction, target), reduction=reduction)


def bce_with_logits(prediction: torch.Tensor, target: torch.Tensor, *, reduction: Reduction = "mean") -> torch.Tensor:
    """Binary cross-entropy of logits; the target may be bool or integer, and has the prediction's shape."""
    return F.binary_cross_entropy_with_logits(*alike(prediction, target), reduction=reduction)


def sigmoid_focal(
    prediction: torch.Tensor, target: torch.Tensor, *, gamma: float = 2.0, reduction: Reduction = "mean"
) -> torch.Tensor:
    """``-(1 - p)**gamma * log p`` with ``p`` the probability of the right answer; targets between 0 and 1 mix both.

    Lin et al., "Focal Loss for Dense Object Detection" (2017), without their alpha, which is a class weight. Logits;
    the target may be bool or integer, and has the prediction's shape.
    """
    logits, yes = alike(prediction, target)
    right, wrong = focused(F.logsigmoid(logits), gamma), focused(F.logsigmoid(-logits), gamma)
    return reduced(yes * right + (1 - yes) * wrong, reduction)


def hinge(prediction: torch.Tensor, target: torch.Tensor, *, reduction: Reduction = "mean") -> torch.Tensor:
    """``max(0, 1 - target * prediction)`` (Cortes and Vapnik, "Support-Vector Networks", 1995).

    The target is -1 or 1, of the prediction's shape; 0 and False mean -1.
    """
    scores, side = alike(prediction, target)
    return reduced((1 - torch.where(side == 0, -1, side) * scores).clamp(min=0), reduction)
