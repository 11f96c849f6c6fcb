"""A loss between distributions."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from tessera.nn.losses.reduction import Reduction, reduced
from tessera.nn.losses.shapes import alike


def kl_div(prediction: torch.Tensor, target: torch.Tensor, *, reduction: Reduction = "mean") -> torch.Tensor:
    """Kullback-Leibler divergence of log-probabilities from probabilities (Kullback and Leibler 1951), of one shape.

    Summed over a sample and averaged over the batch, torch's ``"batchmean"``; ``reduction="none"`` is ``[batch]``.
    """
    given, wanted = alike(prediction, target)
    if reduction == "mean":
        return F.kl_div(given, wanted, reduction="batchmean")
    values = F.kl_div(given, wanted, reduction="none")
    return reduced(values.flatten(1).sum(1) if values.ndim > 1 else values, reduction)
