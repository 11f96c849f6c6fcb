"""Losses by name."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from typing import Any

import torch
import torch.nn.functional as F

from tessera.errors import BatchError, LabelError, LossError

LossFunction = Callable[[Any, Any], torch.Tensor]


def resolve_loss(loss: str | LossFunction) -> LossFunction:
    """The function ``(prediction, target) -> 0-d tensor`` that ``loss`` means, the same one at every call.

    Args:
        loss: a callable, which is returned as it is, or one of the names in ``LOSSES``.

    Raises:
        LossError: there is no loss of this name, or it is neither a name nor a callable.
    """
    if isinstance(loss, str):
        if loss in LOSSES:
            return LOSSES[loss]
        nearest = difflib.get_close_matches(loss.lower(), LOSSES, n=1, cutoff=0.0)[0]
        raise LossError(
            f"There is no loss named {loss!r}.",
            f"The names are {', '.join(LOSSES)}.",
            f"Write loss={nearest!r}, or pass a callable (prediction, target) -> 0-d tensor.",
        )
    if isinstance(loss, type) or not callable(loss):
        given = f"the class {loss.__name__} itself" if isinstance(loss, type) else f"a {type(loss).__name__}"
        raise LossError(
            f"The loss is {given}.",
            "A loss is a name or a callable (prediction, target) -> 0-d tensor.",
            'Write loss="cross_entropy", or loss=tessera.nn.CrossEntropyLoss() with the parentheses.',
        )
    return loss


def own_loss(output: Any, _: object = None) -> torch.Tensor:
    """The loss that a module returned itself: a 0-d tensor, or an output with a ``loss``. The target is not looked at.

    Raises:
        LossError: there is none.
    """
    found = output.get("loss") if isinstance(output, Mapping) else getattr(output, "loss", output)
    if isinstance(found, torch.Tensor) and found.numel() == 1:
        return found
    what = f"a tensor of shape {list(output.shape)}" if isinstance(output, torch.Tensor) else type(output).__name__
    raise LossError(
        f"The module returned {what}, and loss=None was passed.",
        "Without a loss function the module returns its own loss: a 0-d tensor, or an output with a loss that is one.",
        'Write loss="cross_entropy" or another loss, or return the loss from forward, in eval mode as well.',
    )


def check_scalar(loss: object) -> None:
    """Refuse what no training step can minimise.

    Raises:
        LossError: it is not one number, or depends on no parameter.
    """
    if not isinstance(loss, torch.Tensor) or loss.numel() != 1:
        what = f"a tensor of shape {list(loss.shape)}" if isinstance(loss, torch.Tensor) else f"a {type(loss).__name__}"
        raise LossError(
            f"The loss returned {what}.",
            "A loss is one number, a 0-d tensor.",
            "Reduce it: write loss.mean() or loss.sum().",
        )
    if not loss.requires_grad:
        raise LossError(
            "The loss does not depend on any trainable parameter.",
            "A training step needs a loss that is computed from parameters with requires_grad=True.",
            "Check for .detach(), .item(), torch.no_grad() or frozen parameters between the parameters and the loss.",
        )


def auto_loss(prediction: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Cross-entropy for integer targets, mean squared error for floating-point ones of the prediction's shape."""
    _check_tensors(prediction, target)
    return mse(prediction, target) if target.is_floating_point() else cross_entropy(prediction, target)


def cross_entropy(prediction: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Mean cross-entropy of logits.

    Shapes:
        prediction ``[batch, classes]``, ``[batch, seq, classes]`` or, as in torch, ``[batch, classes, ...]``; target
        the same without classes, integers; or of the prediction's shape in torch's layout, floating: probabilities of
        the classes. ``[batch, n, n]``, which could be both, is read as ``[batch, seq, classes]``.

    Raises:
        LabelError: the target has another dtype or shape, or there is only one class.
    """
    _check_tensors(prediction, target)
    if target.is_floating_point():
        return F.cross_entropy(*_alike(prediction, target))
    return F.cross_entropy(*_by_class(prediction, target))


def nll(prediction: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Mean negative log-likelihood of log-probabilities; shapes as in ``cross_entropy`` with integer targets."""
    _check_tensors(prediction, target)
    return F.nll_loss(*_by_class(prediction, target))


def mse(prediction: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Mean squared error; prediction and target have one shape, as in all losses below."""
    return F.mse_loss(*_alike(prediction, target))


def l1(prediction: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Mean absolute error."""
    return F.l1_loss(*_alike(prediction, target))


def smooth_l1(prediction: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Squared below an error of 1, absolute above (Girshick, "Fast R-CNN", 2015)."""
    return F.smooth_l1_loss(*_alike(prediction, target))


def huber(prediction: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Squared below an error of 1, linear above (Huber, 1964)."""
    return F.huber_loss(*_alike(prediction, target))


def bce(prediction: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Binary cross-entropy of probabilities; the target may be bool or integer."""
    return F.binary_cross_entropy(*_alike(prediction, target))


def bce_with_logits(prediction: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Binary cross-entropy of logits; the target may be bool or integer."""
    return F.binary_cross_entropy_with_logits(*_alike(prediction, target))


def kl_div(prediction: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Kullback-Leibler divergence of log-probabilities from probabilities, summed and divided by the batch size."""
    return F.kl_div(*_alike(prediction, target), reduction="batchmean")


LOSSES: dict[str, LossFunction] = {
    "auto": auto_loss,
    "cross_entropy": cross_entropy,
    "nll": nll,
    "mse": mse,
    "l1": l1,
    "smooth_l1": smooth_l1,
    "huber": huber,
    "bce": bce,
    "bce_with_logits": bce_with_logits,
    "kl_div": kl_div,
}


def _alike(prediction: torch.Tensor, target: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Both in their common dtype, once their shapes agree: torch would broadcast ``[n, 1]`` against ``[n]``."""
    _check_tensors(prediction, target)
    if prediction.shape != target.shape:
        raise LabelError(
            f"The prediction has shape {list(prediction.shape)}, the target {list(target.shape)} {target.dtype}.",
            "This loss compares them number by number, so they have one shape.",
            "Write target.view_as(prediction), or prediction.squeeze(-1) for one number a sample.",
        )
    dtype = torch.promote_types(prediction.dtype, target.dtype)
    return prediction.to(dtype), target.to(dtype)


def _by_class(prediction: torch.Tensor, target: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Prediction and class numbers in torch's layout."""
    if target.is_floating_point() or target.is_complex() or target.dtype == torch.bool:
        raise LabelError(
            f"The target has dtype {target.dtype}.",
            "Classes are numbered 0, 1, 2, ... by an integer tensor.",
            'Write target.long(), or loss="bce_with_logits" for yes-or-no targets.',
        )
    if prediction.ndim == 3 and prediction.shape[:-1] == target.shape:
        prediction, target = prediction.flatten(0, 1), target.flatten()
    classes = prediction.shape[min(1, prediction.ndim - 1)] if prediction.ndim else 1
    without = (*prediction.shape[: prediction.ndim > 1], *prediction.shape[2:])
    if classes < 2 or target.shape != without:
        raise LabelError(
            f"The prediction has shape {list(prediction.shape)}, the target {list(target.shape)} {target.dtype}.",
            "Integer targets number the two or more classes of a prediction [batch, classes] or [batch, seq, classes].",
            'Write loss="bce_with_logits" for one yes-or-no output, or target.float() and loss="mse" for numbers.',
        )
    return prediction, target.long()


def _check_tensors(prediction: object, target: object) -> None:
    if not isinstance(prediction, torch.Tensor):
        raise LossError(
            f"The model returned a {type(prediction).__name__}.",
            "A loss by name compares one tensor with the target.",
            "Write loss=lambda prediction, target: ... to take the tensor out of it.",
        )
    if not isinstance(target, torch.Tensor):
        raise LabelError(
            f"The target is a {type(target).__name__}.",
            "A loss by name takes the target as a tensor.",
            "Write torch.as_tensor(target).",
        )
    if prediction.numel() == 0:
        raise BatchError(
            f"The prediction has shape {list(prediction.shape)}: the batch has no samples.",
            "A loss by name is a mean over samples, and the mean of none is NaN.",
            "Leave empty batches out, for example with `if len(labels):` before the step.",
        )
