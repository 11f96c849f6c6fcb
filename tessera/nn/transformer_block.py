"""One layer of a transformer."""

from __future__ import annotations

import torch

from tessera.nn.grouped_query_attention import GroupedQueryAttention
from tessera.nn.rotary import RotaryEmbedding
from tessera.nn.swiglu import SwiGLU


class TransformerBlock(torch.nn.Module):
    """``x = x + attention(norm(x)); x = x + mlp(norm(x))``: the pre-norm block (Xiong et al., 2020).

    The norms are RMSNorm (Zhang and Sennrich, 2019), the attention is grouped-query, the mlp is SwiGLU. Parts have the
    names of a Llama layer, so its checkpoints load as they are.

    Args:
        embed_dim: channels in and out.
        num_heads: query heads.
        num_kv_heads: key and value heads; num_heads when left out.
        head_dim: channels of one head; embed_dim / num_heads when left out.
        hidden_dim: channels inside the mlp; about 8/3 of embed_dim when left out.
        causal: a position sees itself and what came before.
        dropout: probability of dropping an attention weight, and a channel of each branch, while training.
        rotary: turns queries and keys by their positions.
        norm_eps: added to the mean square inside the norms.

    Shapes:
        x ``[batch, seq, embed_dim]`` -> ``[batch, seq, embed_dim]``; mask and positions as in GroupedQueryAttention.

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
        hidden_dim: int | None = None,
        causal: bool = True,
        dropout: float = 0.0,
        rotary: RotaryEmbedding | None = None,
        norm_eps: float = 1e-6,
    ) -> None:
        super().__init__()
        self.input_layernorm = torch.nn.RMSNorm(embed_dim, eps=norm_eps)
        self.self_attn = GroupedQueryAttention(
            embed_dim, num_heads, num_kv_heads, head_dim=head_dim, causal=causal, dropout=dropout, rotary=rotary
        )
        self.post_attention_layernorm = torch.nn.RMSNorm(embed_dim, eps=norm_eps)
        self.mlp = SwiGLU(embed_dim, hidden_dim)
        self.dropout = torch.nn.Dropout(dropout)

    def forward(
        self, x: torch.Tensor, mask: torch.Tensor | None = None, positions: torch.Tensor | None = None
    ) -> torch.Tensor:
        x = x + self.dropout(self.self_attn(self.input_layernorm(x), mask, positions))
        return x + self.dropout(self.mlp(self.post_attention_layernorm(x)))
