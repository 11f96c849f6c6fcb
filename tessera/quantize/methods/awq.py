"""AWQ (Lin et al., 2024): channels that carry large inputs get a finer grid, by how much is searched."""

from __future__ import annotations

from collections.abc import Callable

import torch

_STEPS = 20


def awq(
    weight: torch.Tensor,
    magnitude: torch.Tensor,
    gram: torch.Tensor,
    rounded: Callable[[torch.Tensor], torch.Tensor],
) -> torch.Tensor:
    """By what each input channel is divided and its weights are multiplied, ``[in]``, in float32.

    Of the powers 0, 0.05, ..., 0.95 of the mean magnitude the one with the least squared error of the outputs is taken.
    Power 0 changes nothing, so the result is never worse than rounding on this data.

    Args:
        weight: ``[out, in]``.
        magnitude: the mean magnitude of each input channel, ``[in]``.
        gram: the inputs ``[rows, in]`` as ``rows.T @ rows``, from which the error follows exactly.
        rounded: a weight after it is quantized and dequantized.
    """
    exact, square = weight.detach().double(), gram.double()
    best, least = torch.ones_like(magnitude, dtype=torch.float32), float("inf")
    for step in range(_STEPS):
        factors = magnitude.double().clamp(min=1e-4) ** (step / _STEPS)
        factors = (factors / (factors.max() * factors.min()).sqrt()).float()
        error = rounded((exact * factors).to(weight.dtype)).double() / factors - exact
        lost = ((error @ square) * error).sum().item()
        if lost < least:
            best, least = factors, lost
    return best
