"""What functions of torch give that no tensor without data goes through: the same shapes, by other means."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch


def stand_in(function: Callable[..., Any]) -> Callable[..., Any]:
    """What is called in place of a function of torch; that itself where it takes tensors without data."""
    return _ctc_loss if getattr(function, "__name__", "") == "ctc_loss" else function


def _ctc_loss(
    log_probs: torch.Tensor,
    targets: torch.Tensor,
    input_lengths: Any,
    target_lengths: Any,
    *_: Any,
    reduction: str = "mean",
    **__: Any,
) -> torch.Tensor:
    """A loss for each item of a batch, [time, batch, classes], or their mean.

    Raises:
        RuntimeError: there are not as many labels or lengths as items, or the types are others.
    """
    if not log_probs.is_floating_point() or targets.is_floating_point():
        raise RuntimeError("log_probs must be of a floating-point type, and targets of whole numbers")
    if log_probs.dim() == 2:
        return log_probs.sum()
    batch = log_probs.shape[1]
    for what, lengths in (("input_lengths", input_lengths), ("target_lengths", target_lengths)):
        count = lengths.shape[0] if isinstance(lengths, torch.Tensor) else len(lengths)
        if count != batch:
            raise RuntimeError(f"{what} must be of size batch_size, dimension 1 of log_probs: {batch}, not {count}")
    if targets.dim() == 2 and targets.shape[0] != batch:
        raise RuntimeError(f"targets must have batch_size rows, dimension 1 of log_probs: {batch}")
    each = log_probs.sum(dim=(0, 2))
    return each if reduction == "none" else each.sum()
