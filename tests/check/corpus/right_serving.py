"""Attention as a server runs it: caches, rotations, groups of heads, drafts."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Optional

import tessera as ts
import torch
import torch.nn.functional as F
from tessera import Tensor
from torch import nn


class GroupedQueries(nn.Module):
    def __init__(self, dim=96, heads=12, kv_heads=4):
        super().__init__()
        self.heads, self.kv_heads, self.head_dim = heads, kv_heads, dim // heads
        self.wq = nn.Linear(dim, heads * self.head_dim, bias=False)
        self.wk = nn.Linear(dim, kv_heads * self.head_dim, bias=False)
        self.wv = nn.Linear(dim, kv_heads * self.head_dim, bias=False)
        self.wo = nn.Linear(dim, dim, bias=False)

    def forward(self, x: Tensor["B", "S", 96]) -> Tensor["B", "S", 96]:
        b, s, _ = x.shape
        q = self.wq(x).view(b, s, self.heads, self.head_dim).transpose(1, 2)
        k = self.wk(x).view(b, s, self.kv_heads, self.head_dim).transpose(1, 2)
        v = self.wv(x).view(b, s, self.kv_heads, self.head_dim).transpose(1, 2)
        groups = self.heads // self.kv_heads
        k = k.repeat_interleave(groups, dim=1)
        v = v.repeat_interleave(groups, dim=1)
        scores = q @ k.transpose(-2, -1) / math.sqrt(self.head_dim)
        out = scores.softmax(-1) @ v
        return self.wo(out.transpose(1, 2).reshape(b, s, -1))


class RotaryBuffers(nn.Module):
    def __init__(self, dim=64, longest=2048, base=10000.0):
        super().__init__()
        inv = 1.0 / base ** (torch.arange(0, dim, 2) / dim)
        angles = torch.outer(torch.arange(longest).float(), inv)
        self.register_buffer("cos", torch.cat([angles.cos(), angles.cos()], dim=-1))
        self.register_buffer("sin", torch.cat([angles.sin(), angles.sin()], dim=-1))

    def turn(self, x):
        one, other = x.chunk(2, dim=-1)
        return torch.cat([-other, one], dim=-1)

    def forward(
        self, q: Tensor["B", "H", "S", 64], k: Tensor["B", "H", "S", 64]
    ) -> tuple[Tensor["B", "H", "S", 64], Tensor["B", "H", "S", 64]]:
        n = q.shape[-2]
        cos, sin = self.cos[:n], self.sin[:n]
        q = q * cos + self.turn(q) * sin
        k = k * cos + self.turn(k) * sin
        return q, k


def decode_one(
    q: Tensor["B", "H", 1, "D"],
    k: Tensor["B", "H", 1, "D"],
    v: Tensor["B", "H", 1, "D"],
    past_k: Tensor["B", "H", "P", "D"],
    past_v: Tensor["B", "H", "P", "D"],
) -> tuple[Tensor["B", "H", 1, "D"], Tensor["B", "H", "P+1", "D"], Tensor["B", "H", "P+1", "D"]]:
    keys = torch.cat([past_k, k], dim=2)
    values = torch.cat([past_v, v], dim=2)
    weights = F.softmax(q @ keys.mT * q.shape[-1] ** -0.5, dim=-1)
    return weights @ values, keys, values


class LinearBias(nn.Module):
    def __init__(self, heads=8):
        super().__init__()
        self.register_buffer("slopes", 2.0 ** -torch.arange(1, heads + 1).float())

    def forward(self, scores: Tensor["B", 8, "T", "S"]) -> Tensor["B", 8, "T", "S"]:
        t, s = scores.shape[-2:]
        rows = torch.arange(s - t, s, device=scores.device)
        columns = torch.arange(s, device=scores.device)
        distance = (columns[None, :] - rows[:, None]).clamp(max=0)
        bias = self.slopes[:, None, None] * distance
        blocked = columns[None, :] > rows[:, None]
        return (scores + bias).masked_fill(blocked, float("-inf"))


def local_scores(
    q: Tensor["B", "H", "S", "D"], k: Tensor["B", "H", "S", "D"], window: int = 4
) -> Tensor["B", "H", "S", 5]:
    """Scores of each place with itself and the ``window`` places before it."""
    padded = F.pad(k, (0, 0, window, 0))
    near = padded.unfold(2, window + 1, 1)
    return (q.unsqueeze(-1) * near).sum(-2) / math.sqrt(q.shape[-1])


class LatentAttention(nn.Module):
    def __init__(self, dim=128, heads=4, rank=32, nope=24, rope=8, value=40):
        super().__init__()
        self.heads, self.rank, self.nope, self.rope, self.value = heads, rank, nope, rope, value
        self.q = nn.Linear(dim, heads * (nope + rope))
        self.down = nn.Linear(dim, rank + rope)
        self.norm = nn.LayerNorm(rank)
        self.up = nn.Linear(rank, heads * (nope + value))
        self.out = nn.Linear(heads * value, dim)

    def forward(self, x: Tensor["B", "S", 128]) -> Tensor["B", "S", 128]:
        b, s, _ = x.shape
        q = self.q(x).view(b, s, self.heads, self.nope + self.rope).transpose(1, 2)
        latent, shared = self.down(x).split([self.rank, self.rope], dim=-1)
        kv = self.up(self.norm(latent)).view(b, s, self.heads, -1).transpose(1, 2)
        k, v = kv.split([self.nope, self.value], dim=-1)
        k = torch.cat([k, shared[:, None].expand(-1, self.heads, -1, -1)], dim=-1)
        attended = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.out(attended.transpose(1, 2).flatten(2))


class Resampler(nn.Module):
    def __init__(self, dim=64, context_dim=160, queries=16, heads=4):
        super().__init__()
        self.queries = nn.Parameter(torch.randn(queries, dim) * 0.02)
        self.heads = heads
        self.to_q = nn.Linear(dim, dim)
        self.to_kv = nn.Linear(context_dim, 2 * dim)
        self.proj = nn.Linear(dim, dim)

    def split(self, t):
        return t.unflatten(-1, (self.heads, -1)).transpose(1, 2)

    def forward(self, image: Tensor["B", "N", 160]) -> Tensor["B", 16, 64]:
        q = self.to_q(self.queries).expand(image.shape[0], -1, -1)
        k, v = self.to_kv(image).chunk(2, dim=-1)
        out = F.scaled_dot_product_attention(self.split(q), self.split(k), self.split(v))
        return self.proj(out.transpose(1, 2).flatten(2))


@dataclass
class PastState:
    keys: Tensor["B", "H", "P", "D"]
    values: Tensor["B", "H", "P", "D"]


def attend_with_past(
    q: Tensor["B", "H", "T", "D"],
    k: Tensor["B", "H", "T", "D"],
    v: Tensor["B", "H", "T", "D"],
    past: PastState,
) -> Tensor["B", "H", "T", "D"]:
    seen = past.keys.shape[2]
    t = q.shape[2]
    keys = torch.cat([past.keys, k], dim=2)
    values = torch.cat([past.values, v], dim=2)
    allowed = torch.ones(t, seen + t, dtype=torch.bool, device=q.device).tril(seen)
    scores = q @ keys.transpose(2, 3) / q.shape[-1] ** 0.5
    scores = scores.masked_fill(~allowed, float("-inf"))
    return scores.softmax(dim=-1) @ values


class SinkAttention(nn.Module):
    def __init__(self, heads=6):
        super().__init__()
        self.sink = nn.Parameter(torch.zeros(heads))

    def forward(
        self, q: Tensor["B", 6, "S", "D"], k: Tensor["B", 6, "S", "D"], v: Tensor["B", 6, "S", "D"]
    ) -> Tensor["B", 6, "S", "D"]:
        b, h, s, d = q.shape
        scores = torch.einsum("bhqd,bhkd->bhqk", q, k) * d**-0.5
        sink = self.sink.view(1, h, 1, 1).expand(b, h, s, 1)
        weights = torch.cat([scores, sink], dim=-1).softmax(dim=-1)
        return torch.einsum("bhqk,bhkd->bhqd", weights[..., :-1], v)


def verify_draft(
    target: Tensor["B", "K+1", "V"], draft: Tensor["B", "K", "V"], tokens: Tensor["B", "K", torch.int64]
) -> tuple[Tensor["B", "K"], Tensor["B", "K", "V"]]:
    p = target.softmax(dim=-1)
    q = draft.softmax(dim=-1)
    chosen = tokens.unsqueeze(-1)
    ratio = p[:, :-1].gather(-1, chosen) / q.gather(-1, chosen)
    rest = (p[:, :-1] - q).clamp(min=0)
    rest = rest / rest.sum(dim=-1, keepdim=True).clamp(min=1e-9)
    return ratio.squeeze(-1).clamp(max=1.0), rest


def pick_heads_and_repeat(
    q: Tensor["B", "H*G", "S", "D"], k: Tensor["B", "H", "S", "D"], v: Tensor["B", "H", "S", "D"]
) -> Tensor["B", "H*G", "S", "D"]:
    b, heads, s, d = q.shape
    kv = k.shape[1]
    q = q.reshape(b, kv, heads // kv, s, d)
    scores = torch.einsum("bkgsd,bktd->bkgst", q, k) / math.sqrt(d)
    out = torch.einsum("bkgst,bktd->bkgsd", scores.softmax(-1), v)
    return out.reshape(b, heads, s, d)


class RollingCache(nn.Module):
    """Keeps the last places only; a prompt that is shorter stays as it is."""

    def __init__(self, keep=8):
        super().__init__()
        self.keep = keep

    def forward(self, past: Tensor["B", "P", 32], new: Tensor["B", "T", 32]) -> Tensor["B", "P+T", 32]:
        full = torch.cat([past, new], dim=1)
        if full.shape[1] > self.keep:
            recent = full[:, -self.keep :]
        else:
            recent = full
        return full + recent.mean(dim=1, keepdim=True)


PROGRAMS = [
    GroupedQueries,
    RotaryBuffers,
    decode_one,
    LinearBias,
    local_scores,
    LatentAttention,
    Resampler,
    attend_with_past,
    SinkAttention,
    verify_draft,
    pick_heads_and_repeat,
    RollingCache,
]

SIZES = {}
