"""Attention in its many forms, all of them right."""

from __future__ import annotations

import math
from typing import Optional

import torch
import torch.nn.functional as F
from tessera import Tensor
from torch import nn


def attention_of_two_lengths(
    q: Tensor["B", "S", "D"], k: Tensor["B", "T", "D"], v: Tensor["B", "T", "E"]
) -> Tensor["B", "S", "E"]:
    scores = q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])
    return scores.softmax(-1) @ v


def attention_any_rank(
    q: Tensor["...", "S", "D"], k: Tensor["...", "T", "D"], v: Tensor["...", "T", "D"]
) -> Tensor["...", "S", "D"]:
    return torch.softmax(q @ k.mT * q.size(-1) ** -0.5, -1) @ v


def heads_apart(x: Tensor["B", "S", "D"], heads: int = 4) -> Tensor["B", 4, "S", "D//4"]:
    b, s, d = x.shape
    assert d % heads == 0
    return x.view(b, s, heads, d // heads).permute(0, 2, 1, 3)


def heads_together(x: Tensor["B", "H", "S", "K"]) -> Tensor["B", "S", "H*K"]:
    b, h, s, k = x.shape
    return x.transpose(1, 2).contiguous().view(b, s, h * k)


def heads_by_minus_one(x: Tensor["B", "S", "H*K"], wo: Tensor["H", "K", "D"]) -> Tensor["B", "S", "D"]:
    h, k, _ = wo.shape
    return torch.einsum("bshk,hkd->bsd", x.unflatten(-1, (h, -1)), wo)


class SelfAttentionRight(nn.Module):
    def __init__(self, dim: int = 64, heads: int = 4) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(dim, 3 * dim)
        self.out = nn.Linear(dim, dim)

    def forward(self, x: Tensor["B", "S", 64]) -> Tensor["B", "S", 64]:
        b, s, d = x.shape
        q, k, v = self.qkv(x).reshape(b, s, 3, self.heads, d // self.heads).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.out(mixed.transpose(1, 2).reshape(b, s, d))


class CrossAttentionRight(nn.Module):
    def __init__(self, dim: int = 48, context: int = 80, heads: int = 6) -> None:
        super().__init__()
        self.heads, self.head_dim = heads, dim // heads
        self.to_q = nn.Linear(dim, dim)
        self.to_kv = nn.Linear(context, 2 * dim)
        self.out = nn.Linear(dim, dim)

    def forward(self, x: Tensor["B", "S", 48], context: Optional[Tensor["B", "T", 80]] = None) -> Tensor["B", "S", 48]:
        if context is None:
            context = F.pad(x, (0, 32))
        q = self.to_q(x).unflatten(-1, (self.heads, -1)).transpose(1, 2)
        k, v = self.to_kv(context).unflatten(-1, (2, self.heads, -1)).permute(2, 0, 3, 1, 4).unbind(0)
        weights = (q @ k.mT / self.head_dim**0.5).softmax(-1)
        return self.out((weights @ v).transpose(1, 2).flatten(2))


class GroupedQueryRight(nn.Module):
    def __init__(self, dim: int = 64, heads: int = 8, kv_heads: int = 2) -> None:
        super().__init__()
        self.heads, self.kv_heads, self.head_dim = heads, kv_heads, dim // heads
        self.q = nn.Linear(dim, heads * self.head_dim, bias=False)
        self.kv = nn.Linear(dim, 2 * kv_heads * self.head_dim, bias=False)
        self.o = nn.Linear(dim, dim, bias=False)

    def forward(self, x: Tensor["B", "S", 64]) -> Tensor["B", "S", 64]:
        b, s, _ = x.shape
        q = self.q(x).view(b, s, self.kv_heads, self.heads // self.kv_heads, self.head_dim)
        k, v = self.kv(x).view(b, s, 2, self.kv_heads, self.head_dim).unbind(2)
        weights = torch.einsum("bsgnd,btgd->bgnst", q, k).softmax(-1)
        mixed = torch.einsum("bgnst,btgd->bsgnd", weights, v)
        return self.o(mixed.reshape(b, s, -1))


def rotate_pairs(x):
    a, b = x.chunk(2, dim=-1)
    return torch.cat((-b, a), dim=-1)


def rotary_right(
    x: Tensor["B", "H", "S", "2*K"], cos: Tensor["S", "2*K"], sin: Tensor["S", "2*K"]
) -> Tensor["B", "H", "S", "2*K"]:
    return x * cos + rotate_pairs(x) * sin


def rotary_interleaved(x: Tensor["B", "S", "H", "2*K"]) -> Tensor["B", "S", "H", "2*K"]:
    s, d = x.shape[1], x.shape[-1]
    inverse = 1.0 / 10000 ** (torch.arange(0, d, 2).float() / d)
    angles = torch.outer(torch.arange(s).float(), inverse)[None, :, None, :]
    even, odd = x[..., ::2], x[..., 1::2]
    turned = torch.stack((even * angles.cos() - odd * angles.sin(), even * angles.sin() + odd * angles.cos()), -1)
    return turned.flatten(-2)


class RotaryTable(nn.Module):
    def __init__(self, head_dim: int = 16, longest: int = 512) -> None:
        super().__init__()
        angles = torch.arange(longest)[:, None] / 10000 ** (torch.arange(0, head_dim, 2) / head_dim)
        self.register_buffer("cos", angles.cos().repeat(1, 2), persistent=False)
        self.register_buffer("sin", angles.sin().repeat(1, 2), persistent=False)

    def forward(self, q: Tensor["B", "S", "H", 16]) -> Tensor["B", "S", "H", 16]:
        s = q.shape[1]
        cos, sin = self.cos[:s, None], self.sin[:s, None]
        return q * cos + rotate_pairs(q) * sin


def alibi_right(scores: Tensor["B", "H", "S", "T"], slopes: Tensor["H"]) -> Tensor["B", "H", "S", "T"]:
    s, t = scores.shape[-2:]
    distance = torch.arange(t) - torch.arange(s)[:, None]
    return scores + slopes[:, None, None] * distance


def causal_with_cache(
    q: Tensor["B", "S", "D"], k: Tensor["B", "S", "D"], past: Tensor["B", "T", "D"]
) -> Tensor["B", "S", "S+T"]:
    keys = torch.cat([past, k], dim=1)
    s, total = q.shape[1], keys.shape[1]
    mask = torch.ones(s, total, dtype=torch.bool).tril(diagonal=total - s)
    return (q @ keys.mT).masked_fill(~mask, float("-inf")).softmax(-1)


def padding_mask_right(
    scores: Tensor["B", "H", "S", "T"], lengths: Tensor["B", torch.int64]
) -> Tensor["B", "H", "S", "T"]:
    keep = torch.arange(scores.shape[-1]) < lengths.unsqueeze(-1)
    return scores.masked_fill(~keep[:, None, None, :], float("-inf"))


def optional_masks(
    q: Tensor["B", "S", "D"],
    k: Tensor["B", "T", "D"],
    mask: Optional[Tensor["B", "T", torch.bool]] = None,
    bias: Tensor["S", "T"] | None = None,
) -> Tensor["B", "S", "T"]:
    scores = q @ k.mT
    if mask is not None:
        scores = scores.masked_fill(mask[:, None], -1e9)
    if bias is not None:
        scores = scores + bias
    return scores.softmax(-1)


def sliding_window_right(x: Tensor["B", "S", "D"], window: int = 3) -> Tensor["B", "S", "D"]:
    windows = F.pad(x, (0, 0, window - 1, 0)).unfold(1, window, 1)
    weights = torch.einsum("bsd,bsdw->bsw", x, windows).softmax(-1)
    return torch.einsum("bsw,bsdw->bsd", weights, windows)


def relative_positions(q: Tensor["B", "S", "D"], table: Tensor["2*S-1", "D"]) -> Tensor["B", "S", "S"]:
    s = q.shape[1]
    index = torch.arange(s)[None, :] - torch.arange(s)[:, None] + s - 1
    return torch.einsum("bid,ijd->bij", q, table[index])


def linear_attention_right(
    q: Tensor["B", "S", "D"], k: Tensor["B", "S", "D"], v: Tensor["B", "S", "E"]
) -> Tensor["B", "S", "E"]:
    q, k = F.elu(q) + 1, F.elu(k) + 1
    state = (k[..., None] * v[..., None, :]).cumsum(1)
    norm = (q * k.cumsum(1)).sum(-1, keepdim=True)
    return (q.unsqueeze(-2) @ state).squeeze(-2) / norm


def attention_in_blocks(q: Tensor["B", "S", "D"], k: Tensor["B", "T", "D"]) -> Tensor["B", "S", "D"]:
    out = torch.zeros_like(q)
    for block in k.split(4, dim=1):
        out = out + (q @ block.mT).softmax(-1) @ block
    return out


PROGRAMS = [
    attention_of_two_lengths,
    attention_any_rank,
    heads_apart,
    heads_together,
    heads_by_minus_one,
    SelfAttentionRight,
    CrossAttentionRight,
    GroupedQueryRight,
    rotary_right,
    rotary_interleaved,
    RotaryTable,
    alibi_right,
    causal_with_cache,
    padding_mask_right,
    optional_masks,
    sliding_window_right,
    relative_positions,
    linear_attention_right,
    attention_in_blocks,
]
SIZES = {"heads_apart": {"D": 4}}
