"""Self-attention whose query heads share key and value heads."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from tessera.errors import LayerError
from tessera.nn.rotary import RotaryEmbedding


class GroupedQueryAttention(torch.nn.Module):
    """Self-attention in which groups of query heads share one key and value head (Ainslie et al., 2023).

    With as many key heads as query heads it is multi-head attention, with one it is multi-query attention. The
    projections have Llama's names, so its checkpoints load as they are.

    Args:
        embed_dim: channels in and out.
        num_heads: query heads.
        num_kv_heads: key and value heads; divides num_heads, and is num_heads when left out.
        head_dim: channels of one head; embed_dim / num_heads when left out.
        bias: whether the query, key and value projections have biases; the output projection has one as well.
        causal: a position sees itself and what came before.
        dropout: probability of dropping an attention weight while training.
        rotary: turns queries and keys by their positions.

    Shapes:
        x ``[batch, seq, embed_dim]`` -> ``[batch, seq, embed_dim]``; positions ``[seq]`` or ``[batch, seq]``; mask
        broadcastable to ``[batch, num_heads, seq, seq]``, bool (True: may look; the opposite of
        ``torch.nn.MultiheadAttention``) or floating (added to the scores). With causal, both apply.

    Raises:
        LayerError: the sizes do not fit together.
    """

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        num_kv_heads: int | None = None,
        *,
        head_dim: int | None = None,
        bias: bool = False,
        causal: bool = False,
        dropout: float = 0.0,
        rotary: RotaryEmbedding | None = None,
    ) -> None:
        super().__init__()
        _check_heads(embed_dim, num_heads, num_kv_heads, head_dim)
        self.num_heads = num_heads
        self.num_kv_heads = num_heads if num_kv_heads is None else num_kv_heads
        self.head_dim = embed_dim // num_heads if head_dim is None else head_dim
        if not 0.0 <= dropout < 1.0 or (rotary is not None and rotary.head_dim != self.head_dim):
            raise LayerError(
                f"GroupedQueryAttention of head_dim={self.head_dim} was given dropout={dropout} and rotary={rotary}.",
                "dropout is a probability from 0 to below 1, and rotary turns heads of the same head_dim.",
                f"Write dropout=0.1 and rotary=RotaryEmbedding({self.head_dim}).",
            )
        self.causal, self.dropout, self.rotary = causal, dropout, rotary
        self.q_proj = torch.nn.Linear(embed_dim, self.num_heads * self.head_dim, bias=bias)
        self.k_proj = torch.nn.Linear(embed_dim, self.num_kv_heads * self.head_dim, bias=bias)
        self.v_proj = torch.nn.Linear(embed_dim, self.num_kv_heads * self.head_dim, bias=bias)
        self.o_proj = torch.nn.Linear(self.num_heads * self.head_dim, embed_dim, bias=bias)

    def forward(
        self, x: torch.Tensor, mask: torch.Tensor | None = None, positions: torch.Tensor | None = None
    ) -> torch.Tensor:
        q, k, v = (
            project(x).unflatten(-1, (-1, self.head_dim)).transpose(1, 2)  # [batch, heads, seq, head_dim]
            for project in (self.q_proj, self.k_proj, self.v_proj)
        )
        if self.rotary is not None:
            q, k = self.rotary(q, positions), self.rotary(k, positions)
        if self.causal and mask is not None:
            mask = _also_causal(mask, x.shape[1])
        attended = F.scaled_dot_product_attention(
            q,
            k,
            v,
            attn_mask=mask,
            dropout_p=self.dropout if self.training else 0.0,
            is_causal=self.causal and mask is None,
            enable_gqa=self.num_kv_heads != self.num_heads,
        )
        return self.o_proj(attended.transpose(1, 2).flatten(2))


def _also_causal(mask: torch.Tensor, seq: int) -> torch.Tensor:
    """``mask`` with the future hidden too; scaled_dot_product_attention takes a mask or ``is_causal``, not both."""
    visible = torch.ones(seq, seq, dtype=torch.bool, device=mask.device).tril()
    return mask & visible if mask.dtype == torch.bool else mask.masked_fill(~visible, float("-inf"))


def _check_heads(embed_dim: int, num_heads: int, num_kv_heads: int | None, head_dim: int | None) -> None:
    groups = num_heads if num_kv_heads is None else num_kv_heads
    positive = min(embed_dim, num_heads, groups, 1 if head_dim is None else head_dim) > 0
    if not positive or num_heads % groups or (head_dim is None and embed_dim % num_heads):
        raise LayerError(
            f"GroupedQueryAttention was given embed_dim={embed_dim}, num_heads={num_heads}, "
            f"num_kv_heads={num_kv_heads} and head_dim={head_dim}.",
            "All are positive, num_kv_heads divides num_heads, and num_heads divides embed_dim or head_dim is given.",
            "Write GroupedQueryAttention(512, num_heads=8, num_kv_heads=2).",
        )
