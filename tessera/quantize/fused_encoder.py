"""torch's encoder layers, which in eval mode compute with their layers' weights and pass those layers' forward by."""

from __future__ import annotations

import torch

from tessera.quantize.activation import ActivationQuantizer


def call_layers(module: torch.nn.Module) -> None:
    """Have encoder layers call their linear layers where those round what flows into them.

    The kernel for a whole encoder layer would leave that rounding out, in eval mode alone: other numbers than in
    training, compiled and in a file.
    """
    for encoder in module.modules():
        if isinstance(encoder, (torch.nn.TransformerEncoder, torch.nn.TransformerEncoderLayer)) and any(
            isinstance(part, ActivationQuantizer) for part in encoder.modules()
        ):
            if isinstance(encoder, torch.nn.TransformerEncoderLayer):
                encoder.activation_relu_or_gelu = 0  # what torch asks before it takes the kernel
            else:
                encoder.use_nested_tensor = False  # which its layers take in the kernel alone
