"""SmoothQuant (Xiao et al., 2023): what is hard to round in the activations moves into the weights."""

from __future__ import annotations

import torch

STRENGTH = 0.5  # the share of the difficulty that moves, alpha in the paper
_LEAST = 1e-5


def smooth_quant(weight: torch.Tensor, reach: torch.Tensor) -> torch.Tensor:
    """By what each input channel is divided and its weights are multiplied, ``[in]``, in float32.

    Args:
        weight: ``[out, in]``.
        reach: the largest magnitude of each input channel on the calibration data, ``[in]``.
    """
    of_weights = weight.detach().double().abs().amax(0).clamp(min=_LEAST)
    factors = reach.double().clamp(min=_LEAST) ** STRENGTH / of_weights ** (1 - STRENGTH)
    return factors.clamp(min=_LEAST).float()
