"""What comes in boxes: dataclasses, dicts, lists, things that may be missing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Dict, List, NamedTuple, Optional, Tuple

import torch
import torch.nn.functional as F
from tessera import Tensor
from torch import nn


@dataclass
class TextBatch:
    tokens: Tensor["B", "S", torch.int64]
    mask: Tensor["B", "S", torch.bool]


class MeanPooler(nn.Module):
    def __init__(self, vocab=1000, dim=40):
        super().__init__()
        self.embed = nn.Embedding(vocab, dim)
        self.norm = nn.LayerNorm(dim)

    def forward(self, batch: TextBatch) -> Tensor["B", 40]:
        h = self.norm(self.embed(batch.tokens))
        keep = batch.mask.to(h.dtype)
        total = (h * keep.unsqueeze(-1)).sum(dim=1)
        return total / keep.sum(dim=1, keepdim=True).clamp(min=1.0)


class Towers(nn.Module):
    def __init__(self, width=16, out=8):
        super().__init__()
        self.user = nn.Linear(width, width)
        self.item = nn.Linear(width, width)
        self.place = nn.Linear(width, width)
        self.mix = nn.Linear(3 * width, out)

    def forward(self, features: Dict[str, Tensor["B", 16]]) -> Tensor["B", 8]:
        parts = [self.user(features["user"]), self.item(features["item"]), self.place(features["place"])]
        return self.mix(torch.cat([p.relu() for p in parts], dim=-1))


class ScalarMix(nn.Module):
    def __init__(self, layers=3):
        super().__init__()
        self.weights = nn.Parameter(torch.zeros(layers))
        self.gamma = nn.Parameter(torch.ones(()))

    def forward(
        self, states: Tuple[Tensor["B", "S", "D"], Tensor["B", "S", "D"], Tensor["B", "S", "D"]]
    ) -> Tensor["B", "S", "D"]:
        stacked = torch.stack(states, dim=0)
        w = self.weights.softmax(dim=0)
        mixed = (w[:, None, None, None] * stacked).sum(dim=0)
        return self.gamma * mixed


def attend_maybe_masked(
    q: Tensor["B", "H", "T", "D"],
    k: Tensor["B", "H", "S", "D"],
    v: Tensor["B", "H", "S", "E"],
    mask: Optional[Tensor["B", "S", torch.bool]] = None,
) -> Tensor["B", "H", "T", "E"]:
    scores = torch.matmul(q, k.transpose(-1, -2)) / (q.size(-1) ** 0.5)
    if mask is not None:
        scores = scores.masked_fill(~mask[:, None, None], -1e9)
    return torch.matmul(F.softmax(scores, dim=-1), v)


class Shortcut(nn.Module):
    def __init__(self, fan_in=20, fan_out=28):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(fan_in, fan_out), nn.ReLU(), nn.Linear(fan_out, fan_out))
        self.skip = nn.Linear(fan_in, fan_out) if fan_in != fan_out else None

    def forward(self, x: Tensor["B", 20]) -> Tensor["B", 28]:
        h = self.body(x)
        residual = self.skip(x) if self.skip is not None else x
        return F.relu(h + residual)


@dataclass
class TaggerOutput:
    logits: Tensor["B", "S", 9]
    hidden: Tensor["B", "S", 30]


class TaggerHead(nn.Module):
    def __init__(self, dim=30, tags=9):
        super().__init__()
        self.dense = nn.Linear(dim, dim)
        self.tags = nn.Linear(dim, tags)

    def forward(self, x: Tensor["B", "S", 30]) -> TaggerOutput:
        hidden = torch.tanh(self.dense(x))
        logits = self.tags(hidden)
        return TaggerOutput(logits, hidden)


class TwoWays(nn.Module):
    def __init__(self, dim=12, hidden=18, out=4):
        super().__init__()
        self.forwards = nn.GRU(dim, hidden, batch_first=True)
        self.backwards = nn.GRU(dim, hidden, batch_first=True)
        self.out = nn.Linear(2 * hidden, out)

    def forward(self, x: Tensor["B", "S", 12], both: bool = True) -> Tensor["B", "S", 4]:
        ahead, _ = self.forwards(x)
        if both:
            back, _ = self.backwards(x.flip(1))
            h = torch.cat([ahead, back.flip(1)], dim=-1)
        else:
            h = torch.cat([ahead, torch.zeros_like(ahead)], dim=-1)
        return self.out(h)


def keep_recent(x: Tensor["B", "S", "D"], mask: Tensor["B", "S"], most: int = 32) -> Tensor["B", "D"]:
    if x.shape[1] > most:
        x, mask = x[:, -most:], mask[:, -most:]
    weighted = x * mask.unsqueeze(-1)
    return weighted.sum(dim=1) / (mask.sum(dim=1, keepdim=True) + 1e-6)


def mean_of_members(members: List[Tensor["B", 6]], temperature: float = 2.0) -> Tensor["B", 6]:
    logits = torch.stack(members, dim=1)
    probabilities = (logits / temperature).softmax(dim=-1)
    return probabilities.mean(dim=1)


class Conditioned(nn.Module):
    def __init__(self, dim=36, cond=10):
        super().__init__()
        self.norm = nn.LayerNorm(dim, elementwise_affine=False)
        self.film = nn.Linear(cond, 2 * dim)
        self.ff = nn.Linear(dim, dim)

    def forward(self, x: Tensor["B", "S", 36], cond: Optional[Tensor["B", 10]] = None) -> Tensor["B", "S", 36]:
        h = self.norm(x)
        if cond is not None:
            scale, shift = self.film(cond).unsqueeze(1).chunk(2, dim=-1)
            h = h * (1 + scale) + shift
        return x + self.ff(h)


class Box(NamedTuple):
    center: Tensor["N", 2]
    size: Tensor["N", 2]


def corners_of_boxes(box: Box) -> Tensor["N", 4]:
    half = box.size / 2
    return torch.cat((box.center - half, box.center + half), dim=-1)


def merge_padded(rows: List[Tensor["B", "S", 8]], keep: Optional[Tensor["B", "S", torch.bool]]) -> Tensor["B", 8]:
    total = sum(rows)
    if keep is None:
        return total.mean(1)
    weight = keep.float() / keep.float().sum(1, keepdim=True)
    return (weight[:, None] @ total)[:, 0]


PROGRAMS = [
    MeanPooler,
    Towers,
    ScalarMix,
    attend_maybe_masked,
    Shortcut,
    TaggerHead,
    TwoWays,
    keep_recent,
    mean_of_members,
    Conditioned,
    corners_of_boxes,
    merge_padded,
]

SIZES = {"keep_recent": {"S": (40, 37, 50)}}
