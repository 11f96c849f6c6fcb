"""Losses of numbers; prediction and target have one shape."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F

from tessera.nn.losses.reduction import Reduction, reduced
from tessera.nn.losses.shapes import alike


def mse(prediction: torch.Tensor, target: torch.Tensor, *, reduction: Reduction = "mean") -> torch.Tensor:
    """Mean squared error."""
    return F.mse_loss(*alike(prediction, target), reduction=reduction)


def l1(prediction: torch.Tensor, target: torch.Tensor, *, reduction: Reduction = "mean") -> torch.Tensor:
    """Mean absolute error."""
    return F.l1_loss(*alike(prediction, target), reduction=reduction)


def smooth_l1(prediction: torch.Tensor, target: torch.Tensor, *, reduction: Reduction = "mean") -> torch.Tensor:
    """Squared below an error of 1, absolute above (Girshick, "Fast R-CNN", 2015)."""
    return F.smooth_l1_loss(*alike(prediction, target), reduction=reduction)


def huber(prediction: torch.Tensor, target: torch.Tensor, *, reduction: Reduction = "mean") -> torch.Tensor:
    """Squared below an error of 1, linear above (Huber, 1964)."""
    return F.huber_loss(*alike(prediction, target), reduction=reduction)


def log_cosh(prediction: torch.Tensor, target: torch.Tensor, *, reduction: Reduction = "mean") -> torch.Tensor:
    """``log(cosh(prediction - target))``: squared near zero, linear far away, smooth in between (Chen et al. 2019)."""
    given, wanted = alike(prediction, target)
    error = given - wanted
    return reduced(error + F.softplus(-2 * error) - math.log(2), reduction)


def poisson_nll(prediction: torch.Tensor, target: torch.Tensor, *, reduction: Reduction = "mean") -> torch.Tensor:
    """``exp(prediction) - target * prediction``: counts that follow Poisson's law, from the logarithm of their mean.

    The negative log-likelihood but for a constant, as ``torch.nn.PoissonNLLLoss`` has it (Nelder and Wedderburn 1972).
    """
    return F.poisson_nll_loss(*alike(prediction, target), reduction=reduction)


def cosine(prediction: torch.Tensor, target: torch.Tensor, *, reduction: Reduction = "mean") -> torch.Tensor:
    """``1 - cos(angle)`` between vectors in the last dimension, ``[batch, ..., features]``; 0 is the same direction."""
    given, wanted = alike(prediction, target)
    return reduced(1 - F.cosine_similarity(given, wanted, dim=-1), reduction)
