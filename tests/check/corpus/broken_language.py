"""Language models: caches, rotary embeddings, experts, adapters, sampling."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Optional

import torch
import torch.nn as nn
import torch.nn.functional as F
from tessera import Tensor


@dataclass
class Settings:
    dim: int = 96
    heads: int = 6
    kv_heads: int = 2
    vocab: int = 300
    layers: int = 3


class WrongGroupedAttention(nn.Module):
    def __init__(self, cfg: Settings):
        super().__init__()
        self.n_rep = cfg.heads // cfg.kv_heads
        self.heads, self.kv_heads, self.hd = cfg.heads, cfg.kv_heads, cfg.dim // cfg.heads
        self.wq = nn.Linear(cfg.dim, cfg.heads * self.hd, bias=False)
        self.wk = nn.Linear(cfg.dim, cfg.kv_heads * self.hd, bias=False)
        self.wv = nn.Linear(cfg.dim, cfg.heads * self.hd, bias=False)  # BUG
        self.wo = nn.Linear(cfg.heads * self.hd, cfg.dim, bias=False)

    def forward(self, x: Tensor["B", "T", 96]) -> Tensor["B", "T", 96]:
        b, t, _ = x.shape
        q = self.wq(x).view(b, t, self.heads, self.hd)
        k = self.wk(x).view(b, t, self.kv_heads, self.hd)
        v = self.wv(x).view(b, t, self.kv_heads, self.hd)  # HURTS
        k = k.repeat_interleave(self.n_rep, dim=2)
        v = v.repeat_interleave(self.n_rep, dim=2)
        q, k, v = q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2)
        out = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.wo(out.transpose(1, 2).reshape(b, t, -1))


def rotate_every_two(x):
    even, odd = x[..., ::2], x[..., 1::2]
    return torch.stack((-odd, even), dim=-1).flatten(-2)


def wrong_apply_rotary(q: Tensor["B", "H", "T", 32], angles: Tensor["T", 16]) -> Tensor["B", "H", "T", 32]:
    angles = angles.repeat_interleave(2, dim=0)  # BUG
    return q * angles.cos() + rotate_every_two(q) * angles.sin()  # HURTS


def wrong_extend_cache(k: Tensor["B", "H", 1, "D"], cache: Tensor["B", "H", "P", "D"]) -> Tensor["B", "H", "P+1", "D"]:
    return torch.cat([cache, k], dim=-1)  # BUG


def wrong_causal_scores(q: Tensor["B", "H", "T", "D"], k: Tensor["B", "H", "T", "D"]) -> Tensor["B", "H", "T", "T"]:
    t = q.size(1)  # BUG
    mask = torch.ones(t, t, dtype=torch.bool).tril()
    scores = torch.einsum("bhid,bhjd->bhij", q, k) / math.sqrt(q.size(-1))
    return scores.masked_fill(~mask, float("-inf"))  # HURTS


class WrongExperts(nn.Module):
    def __init__(self, dim=64, hidden=128, n=4, k=2):
        super().__init__()
        self.k = k
        self.router = nn.Linear(dim, n)
        self.w1 = nn.Parameter(torch.zeros(n, dim, hidden))
        self.w2 = nn.Parameter(torch.zeros(n, dim, hidden))  # BUG

    def forward(self, x: Tensor["B", "S", 64]) -> Tensor["B", "S", 64]:
        flat = x.reshape(-1, x.shape[-1])
        gates, picked = self.router(flat).softmax(-1).topk(self.k, dim=-1)
        hidden = F.silu(torch.einsum("td,edh->teh", flat, self.w1))
        every = torch.einsum("teh,ehd->ted", hidden, self.w2)  # HURTS
        chosen = every.gather(1, picked[..., None].expand(-1, -1, every.shape[-1]))
        return (gates[..., None] * chosen).sum(1).view_as(x)


class WrongExpertList(nn.Module):
    def __init__(self, dim: int = 48, n: int = 4):
        super().__init__()
        self.gate = nn.Linear(dim, n)
        self.experts = nn.ModuleList(
            [nn.Sequential(nn.Linear(dim, 4 * dim), nn.GELU(), nn.Linear(4 * dim, dim)) for _ in range(n)]
        )

    def forward(self, x: Tensor["B", "S", 48]) -> Tensor["B", "S", 48]:
        weights = self.gate(x).softmax(dim=-1)
        outs = torch.stack([expert(x) for expert in self.experts], dim=-1)
        return (outs * weights.unsqueeze(-1)).sum(-1)  # BUG


class WrongLowRank(nn.Module):
    def __init__(self, inside=80, outside=112, rank=4):
        super().__init__()
        self.base = nn.Linear(inside, outside)
        self.a = nn.Parameter(torch.randn(rank, inside))
        self.b = nn.Parameter(torch.zeros(outside, rank))

    def forward(self, x: Tensor["B", "S", 80]) -> Tensor["B", "S", 112]:
        return self.base(x) + x @ self.a.T @ self.b  # BUG


class Block(nn.Module):
    def __init__(self, dim, heads):
        super().__init__()
        self.attn = nn.MultiheadAttention(dim, heads, batch_first=True)
        self.norm1, self.norm2 = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.up = nn.Linear(dim, 4 * dim)
        self.down = nn.Linear(3 * dim, dim)  # BUG

    def forward(self, x):
        y = self.norm1(x)
        x = x + self.attn(y, y, y, need_weights=False)[0]
        return x + self.down(F.gelu(self.up(self.norm2(x))))  # HURTS


class WrongSmallGPT(nn.Module):
    def __init__(self, cfg: Settings):
        super().__init__()
        self.tok = nn.Embedding(cfg.vocab, cfg.dim)
        self.pos = nn.Embedding(128, cfg.dim)
        self.blocks = nn.ModuleList([Block(cfg.dim, cfg.heads) for _ in range(cfg.layers)])
        self.head = nn.Linear(cfg.dim, cfg.vocab, bias=False)

    def forward(self, ids: Tensor["B", "T", torch.int64]) -> Tensor["B", "T", 300]:
        x = self.tok(ids) + self.pos(torch.arange(ids.shape[1]))
        for block in self.blocks:
            x = block(x)
        return self.head(x)


def wrong_next_token_loss(logits: Tensor["B", "T", "V"], ids: Tensor["B", "T", torch.int64]) -> Tensor[()]:
    shifted = logits[:, :-2].reshape(-1, logits.size(-1))  # BUG
    return F.cross_entropy(shifted, ids[:, 1:].reshape(-1))  # HURTS


def wrong_pool_last(hidden: Tensor["B", "T", "D"], mask: Tensor["B", "T", torch.int64]) -> Tensor["B", "D"]:
    last = mask.sum(dim=0) - 1  # BUG
    return hidden[torch.arange(hidden.shape[0]), last]  # HURTS


def wrong_mean_pool(hidden: Tensor["B", "T", "D"], mask: Tensor["B", "T"]) -> Tensor["B", "D"]:
    weights = mask.unsqueeze(-1)
    return (hidden * weights).sum(1) / weights.sum(2).clamp(min=1e-6)  # BUG


PROGRAMS = [
    lambda: WrongGroupedAttention(Settings()),
    wrong_apply_rotary,
    wrong_extend_cache,
    wrong_causal_scores,
    WrongExperts,
    WrongExpertList,
    WrongLowRank,
    lambda: WrongSmallGPT(Settings()),
    wrong_next_token_loss,
    wrong_pool_last,
    wrong_mean_pool,
]

SIZES = {}
