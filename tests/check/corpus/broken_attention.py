"""Attention in its many forms, each with one bug of shape."""

from __future__ import annotations

import math
from typing import Optional

import torch
import torch.nn.functional as F
from tessera import Tensor
from torch import nn


def naive_attention(
    q: Tensor["B", "S", "D"], k: Tensor["B", "T", "D"], v: Tensor["B", "T", "D"]
) -> Tensor["B", "S", "D"]:
    scores = q @ k.transpose(0, 1) / math.sqrt(q.shape[-1])  # BUG
    return scores.softmax(-1) @ v


def transposed_output(
    q: Tensor["B", "H", "S", "K"], k: Tensor["B", "H", "T", "K"], v: Tensor["B", "H", "T", "K"]
) -> Tensor["B", "S", "H", "K"]:
    scores = torch.einsum("bhsk,bhtk->bhst", q, k) * q.size(-1) ** -0.5
    weights = F.softmax(scores, dim=-1)
    mixed = torch.einsum("bhst,bhtk->bhsk", weights, v)
    return mixed.transpose(2, 3)  # BUG


def split_heads(x: Tensor["B", "S", 64], heads: int = 8) -> Tensor["B", 8, "S", 8]:
    b, s, d = x.shape
    return x.view(b, s, heads, d // heads)  # BUG


def merge_heads(x: Tensor["B", "H", "S", "K"]) -> Tensor["B", "S", "H*K"]:
    b, h, s, k = x.shape
    return x.reshape(b, s * h, k)  # BUG


class SelfAttention(nn.Module):
    def __init__(self, dim: int = 64, heads: int = 4) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(dim, 2 * dim)  # BUG
        self.out = nn.Linear(dim, dim)

    def forward(self, x: Tensor["B", "S", 64]) -> Tensor["B", "S", 64]:
        b, s, d = x.shape
        q, k, v = self.qkv(x).chunk(3, dim=-1)
        q = q.view(b, s, self.heads, d // self.heads).transpose(1, 2)  # HURTS
        k = k.view(b, s, self.heads, d // self.heads).transpose(1, 2)
        v = v.view(b, s, self.heads, d // self.heads).transpose(1, 2)
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.out(mixed.transpose(1, 2).reshape(b, s, d))


class CrossAttention(nn.Module):
    def __init__(self, dim: int = 48, context: int = 80, heads: int = 6) -> None:
        super().__init__()
        self.heads, self.head_dim = heads, dim // heads
        self.to_q = nn.Linear(dim, dim)
        self.to_k = nn.Linear(context, dim)
        self.to_v = nn.Linear(dim, dim)  # BUG
        self.out = nn.Linear(dim, dim)

    def heads_of(self, x):
        return x.unflatten(-1, (self.heads, self.head_dim)).transpose(1, 2)

    def forward(self, x: Tensor["B", "S", 48], context: Tensor["B", "T", 80]) -> Tensor["B", "S", 48]:
        q = self.heads_of(self.to_q(x))
        k = self.heads_of(self.to_k(context))
        v = self.heads_of(self.to_v(context))  # HURTS
        weights = (q @ k.mT / self.head_dim**0.5).softmax(-1)
        return self.out((weights @ v).transpose(1, 2).flatten(2))


class GroupedQuery(nn.Module):
    def __init__(self, dim: int = 64, heads: int = 8, kv_heads: int = 2) -> None:
        super().__init__()
        self.heads, self.kv_heads, self.head_dim = heads, kv_heads, dim // heads
        self.q = nn.Linear(dim, heads * self.head_dim, bias=False)
        self.k = nn.Linear(dim, kv_heads * self.head_dim, bias=False)
        self.v = nn.Linear(dim, kv_heads * self.head_dim, bias=False)
        self.o = nn.Linear(dim, dim, bias=False)

    def forward(self, x: Tensor["B", "S", 64]) -> Tensor["B", "S", 64]:
        b, s, _ = x.shape
        q = self.q(x).view(b, s, self.heads, self.head_dim).transpose(1, 2)
        k = self.k(x).view(b, s, self.kv_heads, self.head_dim).transpose(1, 2)
        v = self.v(x).view(b, s, self.kv_heads, self.head_dim).transpose(1, 2)
        k = k.repeat_interleave(self.kv_heads, dim=1)  # BUG
        v = v.repeat_interleave(self.heads // self.kv_heads, dim=1)
        weights = (q @ k.transpose(-2, -1)).softmax(dim=-1)  # HURTS
        return self.o((weights @ v).transpose(1, 2).reshape(b, s, -1))


def rotate_half(x):
    a, b = x.chunk(2, dim=-1)
    return torch.cat((-b, a), dim=1)  # BUG


def rotary(
    x: Tensor["B", "H", "S", "2*K"], cos: Tensor["S", "2*K"], sin: Tensor["S", "2*K"]
) -> Tensor["B", "H", "S", "2*K"]:
    return x * cos + rotate_half(x) * sin  # HURTS


def rotary_table(positions: Tensor["S"], dim: int = 32) -> tuple[Tensor["S", 32], Tensor["S", 32]]:
    inverse = 1.0 / 10000 ** (torch.arange(0, dim, 2).float() / dim)
    angles = positions[:, None] * inverse
    return angles.cos(), angles.sin()  # BUG


def alibi(scores: Tensor["B", "H", "S", "S"], slopes: Tensor["H"]) -> Tensor["B", "H", "S", "S"]:
    s = scores.shape[-1]
    distance = torch.arange(s)[None, :] - torch.arange(s)[:, None]
    bias = slopes * distance[..., None]  # BUG
    return scores + bias  # HURTS


def causal(q: Tensor["B", "S", "D"], k: Tensor["B", "S", "D"], v: Tensor["B", "S", "D"]) -> Tensor["B", "S", "D"]:
    scores = q @ k.transpose(1, 2)
    mask = torch.triu(torch.ones(q.shape[-1], q.shape[-1], dtype=torch.bool), diagonal=1)  # BUG
    scores = scores.masked_fill(mask, float("-inf"))  # HURTS
    return scores.softmax(-1) @ v


def padding_mask(scores: Tensor["B", "H", "S", "T"], lengths: Tensor["B", torch.int64]) -> Tensor["B", "H", "S", "T"]:
    keep = torch.arange(scores.shape[-1])[None, :] < lengths[:, None]
    return scores.masked_fill(~keep[:, None], float("-inf"))  # BUG


def optional_mask(
    q: Tensor["B", "S", "D"], k: Tensor["B", "T", "D"], mask: Optional[Tensor["B", "T", torch.bool]] = None
) -> Tensor["B", "S", "T"]:
    scores = q @ k.mT
    if mask is not None:
        scores = scores.masked_fill(mask[:, :, None], -1e9)  # BUG
    return scores.softmax(-1)


def sliding_window(x: Tensor["B", "S", "D"], window: int = 3) -> Tensor["B", "S", "D"]:
    padded = F.pad(x, (0, 0, window, 0))  # BUG
    windows = padded.unfold(1, window, 1)
    weights = torch.einsum("bsd,bsdw->bsw", x, windows).softmax(-1)  # HURTS
    return torch.einsum("bsw,bsdw->bsd", weights, windows)


def additive_attention(
    query: Tensor["B", "D"], keys: Tensor["B", "T", "D"], v: Tensor["D"]
) -> tuple[Tensor["B", "D"], Tensor["B", "T"]]:
    energy = torch.tanh(query.unsqueeze(1) + keys) @ v
    weights = energy.softmax(dim=1)
    context = (weights.unsqueeze(1) * keys).sum(1)  # BUG
    return context, weights


def linear_attention(
    q: Tensor["B", "S", "D"], k: Tensor["B", "S", "D"], v: Tensor["B", "S", "E"]
) -> Tensor["B", "S", "E"]:
    q, k = F.elu(q) + 1, F.elu(k) + 1
    state = torch.einsum("bsd,bse->bde", k, v)
    norm = torch.einsum("bsd,bd->bs", q, k.sum(1))
    return torch.einsum("bsd,bde->bse", q, state) / norm  # BUG


PROGRAMS = [
    naive_attention,
    transposed_output,
    split_heads,
    merge_heads,
    SelfAttention,
    CrossAttention,
    GroupedQuery,
    rotary,
    rotary_table,
    alibi,
    causal,
    padding_mask,
    optional_mask,
    sliding_window,
    additive_attention,
    linear_attention,
]
