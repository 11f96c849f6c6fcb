"""The one number that a training step minimises."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from tessera.errors import LossError


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
