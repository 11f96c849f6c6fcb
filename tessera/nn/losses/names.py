"""Losses by name."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from typing import Any

import torch

from tessera.errors import LossError
from tessera.nn.losses.auto import auto_loss
from tessera.nn.losses.binary import bce, bce_with_logits, hinge, sigmoid_focal
from tessera.nn.losses.classification import cross_entropy, focal, nll
from tessera.nn.losses.dice import dice
from tessera.nn.losses.distribution import kl_div
from tessera.nn.losses.regression import cosine, huber, l1, log_cosh, mse, poisson_nll, smooth_l1

LossFunction = Callable[[Any, Any], torch.Tensor]

LOSSES: dict[str, LossFunction] = {
    "auto": auto_loss,
    "cross_entropy": cross_entropy,
    "nll": nll,
    "focal": focal,
    "mse": mse,
    "l1": l1,
    "smooth_l1": smooth_l1,
    "huber": huber,
    "log_cosh": log_cosh,
    "bce": bce,
    "bce_with_logits": bce_with_logits,
    "sigmoid_focal": sigmoid_focal,
    "hinge": hinge,
    "dice": dice,
    "kl_div": kl_div,
    "poisson_nll": poisson_nll,
    "cosine": cosine,
}

# What Keras, Optax and scikit-learn call them, where the nearest name would be another loss.
_ELSEWHERE = {
    "mae": "l1",
    "mean_absolute_error": "l1",
    "absolute_error": "l1",
    "mean_squared_error": "mse",
    "squared_error": "mse",
    "l2": "mse",
    "categorical_crossentropy": "cross_entropy",
    "sparse_categorical_crossentropy": "cross_entropy",
    "softmax_cross_entropy": "cross_entropy",
    "log_loss": "cross_entropy",
    "binary_crossentropy": "bce",
    "sigmoid_binary_cross_entropy": "bce_with_logits",
    "binary_focal_crossentropy": "sigmoid_focal",
    "categorical_focal_crossentropy": "focal",
    "cosine_similarity": "cosine",
}


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
        nearest = _ELSEWHERE.get(loss.lower()) or difflib.get_close_matches(loss.lower(), LOSSES, n=1, cutoff=0.0)[0]
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
