"""Adapters, encoders and decoders as people put them together in an afternoon."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Optional

import torch
import torch.nn as nn
import torch.nn.functional as F
from tessera import Tensor


class Conditioner(nn.Module):
    def __init__(self, text_dim: int = 72, image_dim: int = 56, width: int = 40):
        super().__init__()
        self.text = nn.Linear(text_dim, width)
        self.image = nn.Linear(image_dim, width)
        self.merge = nn.Linear(2 * width, width)

    def forward(self, text: Tensor["B", 72], image: Tensor["B", 56]) -> Tensor["B", 40]:
        joined = torch.cat((self.text(text), self.image(image)), dim=-1)
        return self.merge(F.silu(joined))


class Pooler(nn.Module):
    def __init__(self, dim: int = 36, queries: int = 5):
        super().__init__()
        self.queries = nn.Parameter(torch.randn(queries, dim) / math.sqrt(dim))
        self.key = nn.Linear(dim, dim)

    def forward(self, x: Tensor["B", "S", 36]) -> Tensor["B", 5, 36]:
        scores = torch.einsum("qd,bsd->bqs", self.queries, self.key(x))
        weights = scores.softmax(dim=-1)
        return weights @ x


class ConvStem(nn.Module):
    def __init__(self, width: int = 24):
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, width, 3, stride=2, padding=1),
            nn.BatchNorm2d(width),
            nn.GELU(),
            nn.Conv2d(width, 2 * width, 3, stride=2, padding=1),
            nn.BatchNorm2d(2 * width),
        )
        self.proj = nn.Linear(2 * width, 64)

    def forward(self, x: Tensor["B", 3, 32, 32]) -> Tensor["B", 64, 64]:
        x = self.stem(x).flatten(2).transpose(1, 2)
        return self.proj(x)


class RelativeBias(nn.Module):
    def __init__(self, heads: int = 4, window: int = 7):
        super().__init__()
        self.window = window
        self.table = nn.Parameter(torch.zeros((2 * window - 1) ** 2, heads))

    def forward(self, attn: Tensor["B", 4, 49, 49]) -> Tensor["B", 4, 49, 49]:
        w = self.window
        coords = torch.stack(torch.meshgrid(torch.arange(w), torch.arange(w), indexing="ij")).flatten(1)
        relative = coords[:, :, None] - coords[:, None, :]
        relative = relative + w - 1
        index = relative[0] * (2 * w - 1) + relative[1]
        bias = self.table[index.flatten()].view(w * w, w * w, -1).permute(2, 0, 1)
        return attn + bias


def window_partition(x: Tensor["B", "4*H", "4*W", "C"], size: int = 4) -> Tensor["B*H*W", 4, 4, "C"]:
    b, h, w, c = x.shape
    x = x.view(b, h // size, size, w // size, size, c)
    return x.permute(0, 1, 3, 2, 4, 5).reshape(-1, size, size, c)


def space_to_depth_again(x: Tensor["B", "C", "2*H", "2*W"]) -> Tensor["B", "4*C", "H", "W"]:
    b, c, h, w = x.shape
    x = x.reshape(b, c, h // 2, 2, w // 2, 2)
    x = x.permute(0, 1, 3, 5, 2, 4)
    return x.reshape(b, c * 4, h // 2, w // 2)


class Decoder(nn.Module):
    def __init__(self, latent: int = 20, base: int = 32):
        super().__init__()
        self.base = base
        self.fc = nn.Linear(latent, base * 7 * 7)
        self.up = nn.Sequential(
            nn.ConvTranspose2d(base, base // 2, 4, 2, 1), nn.ReLU(), nn.ConvTranspose2d(base // 2, 1, 4, 2, 1)
        )

    def forward(self, z: Tensor["B", 20]) -> Tensor["B", 1, 28, 28]:
        h = self.fc(z).view(-1, self.base, 7, 7)
        return self.up(h).sigmoid()


class ResidualMLP(nn.Module):
    def __init__(self, dim: int, hidden: int):
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.fc1 = nn.Linear(dim, hidden)
        self.fc2 = nn.Linear(hidden, dim)

    def forward(self, x):
        return x + self.fc2(F.gelu(self.fc1(self.norm(x))))


class MixerLike(nn.Module):
    def __init__(self, tokens: int = 12, dim: int = 30, depth: int = 2):
        super().__init__()
        self.over_tokens = nn.ModuleList([ResidualMLP(tokens, 2 * tokens) for _ in range(depth)])
        self.over_channels = nn.ModuleList([ResidualMLP(dim, 3 * dim) for _ in range(depth)])

    def forward(self, x: Tensor["B", 12, 30]) -> Tensor["B", 12, 30]:
        for tokens, channels in zip(self.over_tokens, self.over_channels):
            x = tokens(x.transpose(1, 2)).transpose(1, 2)
            x = channels(x)
        return x


class CrossStack(nn.Module):
    def __init__(self, dims=(18, 26, 34), out: int = 50):
        super().__init__()
        self.projections = nn.ModuleList([nn.Linear(d, out) for d in dims])
        self.score = nn.Linear(out, 1)

    def forward(self, a: Tensor["B", 18], b: Tensor["B", 26], c: Tensor["B", 34]) -> Tensor["B", 50]:
        parts = [p(x) for p, x in zip(self.projections, (a, b, c))]
        stacked = torch.stack(parts, dim=1)
        weights = self.score(stacked).softmax(dim=1)
        return (weights * stacked).sum(dim=1)


class SlotAttention(nn.Module):
    def __init__(self, slots: int = 6, dim: int = 28):
        super().__init__()
        self.slots = nn.Parameter(torch.zeros(1, slots, dim))
        self.q, self.k, self.v = nn.Linear(dim, dim), nn.Linear(dim, dim), nn.Linear(dim, dim)
        self.gru = nn.GRUCell(dim, dim)

    def forward(self, inputs: Tensor["B", "N", 28]) -> Tensor["B", 6, 28]:
        b, _, d = inputs.shape
        k, v = self.k(inputs), self.v(inputs)
        slots = self.slots.expand(b, -1, -1)
        for _ in range(3):
            attn = (self.q(slots) @ k.transpose(1, 2)).softmax(dim=1)
            attn = attn / attn.sum(dim=-1, keepdim=True)
            updates = attn @ v
            slots = self.gru(updates.reshape(-1, d), slots.reshape(-1, d)).view(b, -1, d)
        return slots


def fold_heads(x: Tensor["B", "S", "H", "K"]) -> Tensor["B*H", "S", "K"]:
    b, s, h, k = x.shape
    return x.transpose(1, 2).reshape(b * h, s, k)


PROGRAMS = [
    Conditioner,
    Pooler,
    ConvStem,
    RelativeBias,
    window_partition,
    space_to_depth_again,
    Decoder,
    MixerLike,
    CrossStack,
    SlotAttention,
    fold_heads,
]

SIZES = {}
