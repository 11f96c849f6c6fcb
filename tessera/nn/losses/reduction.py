"""From the loss of every sample to one number."""

from __future__ import annotations

from typing import Literal

import torch

from tessera.errors import LossError

Reduction = Literal["mean", "sum", "none"]


def wide(dtype: torch.dtype) -> torch.dtype:
    """The dtype to add up in: a sum of halves soon leaves their range, or stops growing."""
    return torch.float32 if dtype in {torch.float16, torch.bfloat16} else dtype


def reduced(values: torch.Tensor, reduction: Reduction, counts: torch.Tensor | None = None) -> torch.Tensor:
    """``values`` themselves, their sum or their mean, as in torch.

    Args:
        values: losses, ``[batch, ...]``.
        counts: what each stands for in the mean: ``sum(values) / sum(counts)``. None: one each.

    Raises:
        LossError: there is no such reduction.
    """
    if reduction == "none":
        return values
    if reduction not in ("mean", "sum"):
        raise LossError(
            f"reduction={reduction!r} was passed.",
            "It is 'mean', 'sum' or 'none'.",
            "Leave it out for the mean.",
        )
    total = values.sum(dtype=wide(values.dtype))
    if reduction == "mean":
        total = total / (values.numel() if counts is None else counts.sum(dtype=total.dtype))
    return total.to(values.dtype)
