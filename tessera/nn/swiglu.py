"""The gated feed-forward layer of today's transformers."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from tessera.errors import LayerError


class SwiGLU(torch.nn.Module):
    """``down(silu(gate(x)) * up(x))`` (Shazeer, "GLU Variants Improve Transformer", 2020).

    The three projections have Llama's names, so its checkpoints load as they are.

    Args:
        embed_dim: channels in and out.
        hidden_dim: channels between; when left out 8/3 of embed_dim, rounded up to a multiple of 8, which has as many
            parameters as a plain feed-forward layer of 4 * embed_dim.
        bias: whether the projections have biases.

    Shapes:
        x ``[..., embed_dim]`` -> ``[..., embed_dim]``.

    Raises:
        LayerError: a size is not positive.
    """

    def __init__(self, embed_dim: int, hidden_dim: int | None = None, *, bias: bool = False) -> None:
        super().__init__()
        hidden_dim = -(-8 * embed_dim // 24) * 8 if hidden_dim is None else hidden_dim
        if embed_dim <= 0 or hidden_dim <= 0:
            raise LayerError(
                f"SwiGLU was given embed_dim={embed_dim} and hidden_dim={hidden_dim}.",
                "Both are numbers of channels, at least 1.",
                "Write SwiGLU(512), or SwiGLU(512, 1376) to choose the hidden size.",
            )
        self.gate_proj = torch.nn.Linear(embed_dim, hidden_dim, bias=bias)
        self.up_proj = torch.nn.Linear(embed_dim, hidden_dim, bias=bias)
        self.down_proj = torch.nn.Linear(hidden_dim, embed_dim, bias=bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))
