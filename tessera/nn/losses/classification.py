"""Losses of one class out of several."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from tessera.nn.losses.reduction import Reduction, reduced
from tessera.nn.losses.shapes import IGNORED, alike, by_class, check_tensors


def cross_entropy(
    prediction: torch.Tensor,
    target: torch.Tensor,
    *,
    weight: torch.Tensor | None = None,
    reduction: Reduction = "mean",
) -> torch.Tensor:
    """Mean cross-entropy of logits, ``-log softmax(prediction)[target]``.

    Shapes:
        prediction ``[batch, classes]``, ``[batch, seq, classes]`` or, as in torch, ``[batch, classes, ...]``; target
        the same without classes, integers (-100 counts nowhere); or of the prediction's shape in torch's layout,
        floating: probabilities of the classes. ``[batch, n, n]``, which could be both, is read as ``[batch, seq,
        classes]``. weight of the classes ``[classes]``, as in torch.

    Raises:
        LabelError: the target has another dtype or shape, or there is only one class.
    """
    check_tensors(prediction, target)
    if target.is_floating_point():
        return F.cross_entropy(*alike(prediction, target), weight=weight, reduction=reduction)
    values = F.cross_entropy(*by_class(prediction, target), weight=weight, reduction=reduction)
    return values.reshape(target.shape) if reduction == "none" else values


def nll(
    prediction: torch.Tensor,
    target: torch.Tensor,
    *,
    weight: torch.Tensor | None = None,
    reduction: Reduction = "mean",
) -> torch.Tensor:
    """Mean negative log-likelihood of log-probabilities; shapes as in ``cross_entropy`` with integer targets."""
    values = F.nll_loss(*by_class(prediction, target), weight=weight, reduction=reduction)
    return values.reshape(target.shape) if reduction == "none" else values


def focal(
    prediction: torch.Tensor,
    target: torch.Tensor,
    *,
    gamma: float = 2.0,
    weight: torch.Tensor | None = None,
    reduction: Reduction = "mean",
) -> torch.Tensor:
    """Cross-entropy that looks past what is right already: ``-(1 - p)**gamma * log p``, with ``p`` of the right class.

    Lin et al., "Focal Loss for Dense Object Detection" (2017). Shapes and ``weight`` (their alpha) as in
    ``cross_entropy`` with integer targets; another gamma by ``functools.partial(focal, gamma=1.5)``.
    """
    logits, labels = by_class(prediction, target)
    log_p = -F.cross_entropy(logits, labels, reduction="none")
    values = focused(log_p, gamma)
    counts = label_counts(labels, weight, values.dtype)
    return reduced((values * counts).reshape(target.shape), reduction, counts)


def focused(log_p: torch.Tensor, gamma: float) -> torch.Tensor:
    """``-(1 - p)**gamma * log p`` of log-probabilities.

    The gradient stays finite where p is 1, for any gamma: the power of zero has none.
    """
    wrong = -torch.expm1(log_p)
    return -(wrong.clamp(min=torch.finfo(wrong.dtype).tiny) ** gamma) * log_p


def label_counts(
    labels: torch.Tensor, weight: torch.Tensor | None, dtype: torch.dtype, ignored: int = IGNORED
) -> torch.Tensor:
    """What each of the class numbers ``labels`` counts in a mean: the weight of its class, nothing where ignored."""
    counted = labels != ignored
    if weight is None:
        return counted.to(dtype)
    return torch.where(counted, weight.to(dtype)[torch.where(counted, labels, 0)], 0)
