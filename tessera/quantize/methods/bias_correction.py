"""Bias correction (Nagel et al., "Data-Free Quantization", 2019, section 4.2, with measured means)."""

from __future__ import annotations

import torch


def corrected_bias(
    bias: torch.Tensor | None, exact: torch.Tensor, rounded: torch.Tensor, mean: torch.Tensor
) -> torch.Tensor:
    """The bias ``[out]`` with which the mean output on the calibration data is what it was.

    Args:
        bias: ``[out]`` or None.
        exact, rounded: the weight ``[out, in]`` before and after.
        mean: of the inputs, ``[in]``.
    """
    shift = (exact.detach().double() - rounded.double()) @ mean.double()
    return (shift if bias is None else bias.detach().double() + shift).to(exact.dtype)
