"""Rotary position embedding."""

from __future__ import annotations

import torch

from tessera.errors import LayerError


class RotaryEmbedding(torch.nn.Module):
    """Turns each pair of channels by an angle that grows with the position (Su et al., "RoFormer", 2021).

    Pair i of position p is turned by ``p * base ** (-2i / head_dim)``. The angles are computed in fp32 (fp64 for fp64
    input), their cosines and sines are rounded to the input's dtype. It has no parameters and no buffers, so a model
    moved to bf16 keeps exact frequencies.

    Args:
        head_dim: channels of one head, even.
        base: wavelength base; 10,000 in the paper, 500,000 in Llama 3.
        interleaved: pairs are neighbours (0, 1), (2, 3), ... as in the paper and GPT-J; otherwise channel i is paired
            with i + head_dim / 2, as in Llama and Hugging Face's checkpoints of it.

    Shapes:
        x ``[batch, heads, seq, head_dim]``, positions ``[seq]`` or ``[batch, seq]`` (0, 1, 2, ... when left out)
        -> ``[batch, heads, seq, head_dim]``, dtype of x.

    Raises:
        LayerError: head_dim is not a positive even number, or base is not positive.
    """

    def __init__(self, head_dim: int, base: float = 10_000.0, *, interleaved: bool = False) -> None:
        super().__init__()
        if head_dim <= 0 or head_dim % 2 or base <= 0:
            raise LayerError(
                f"RotaryEmbedding was given head_dim={head_dim} and base={base}.",
                "It turns pairs of channels, so head_dim is a positive even number, and base is positive.",
                "Write RotaryEmbedding(embed_dim // num_heads) with sizes that make it even.",
            )
        self.head_dim, self.base, self.interleaved = head_dim, base, interleaved

    def forward(self, x: torch.Tensor, positions: torch.Tensor | None = None) -> torch.Tensor:
        if positions is None:
            positions = torch.arange(x.shape[-2], device=x.device)
        angles = self.angles(positions, torch.promote_types(x.dtype, torch.float32))
        cos, sin = angles.cos().to(x.dtype), angles.sin().to(x.dtype)
        first, second = x.unflatten(-1, (-1, 2)).unbind(-1) if self.interleaved else x.chunk(2, dim=-1)
        turned = (first * cos - second * sin, second * cos + first * sin)
        return torch.stack(turned, dim=-1).flatten(-2) if self.interleaved else torch.cat(turned, dim=-1)

    def angles(self, positions: torch.Tensor, dtype: torch.dtype = torch.float32) -> torch.Tensor:
        """Angles in radians: ``[seq, head_dim / 2]``, or ``[batch, 1, seq, head_dim / 2]`` for positions of a batch."""
        pairs = torch.arange(0, self.head_dim, 2, device=positions.device).to(dtype) / self.head_dim
        angles = positions.to(dtype)[..., None] * (1.0 / self.base**pairs)
        return angles.unsqueeze(1) if positions.ndim == 2 else angles

    def extra_repr(self) -> str:
        return f"{self.head_dim}, base={self.base}, interleaved={self.interleaved}"
