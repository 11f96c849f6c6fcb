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


class WrongMeanPooler(nn.Module):
    def __init__(self, vocab=1000, dim=40):
        super().__init__()
        self.embed = nn.Embedding(vocab, dim)
        self.norm = nn.LayerNorm(dim)

    def forward(self, batch: TextBatch) -> Tensor["B", 40]:
        h = self.norm(self.embed(batch.tokens))
        keep = batch.mask.to(h.dtype)
        total = (h * keep).sum(dim=1)  # BUG
        return total / keep.sum(dim=1, keepdim=True).clamp(min=1.0)


class WrongTowers(nn.Module):
    def __init__(self, width=16, out=8):
        super().__init__()
        self.user = nn.Linear(width, width)
        self.item = nn.Linear(width, width)
        self.place = nn.Linear(width, width)
        self.mix = nn.Linear(2 * width, out)  # BUG

    def forward(self, features: Dict[str, Tensor["B", 16]]) -> Tensor["B", 8]:
        parts = [self.user(features["user"]), self.item(features["item"]), self.place(features["place"])]
        return self.mix(torch.cat([p.relu() for p in parts], dim=-1))  # HURTS


class WrongScalarMix(nn.Module):
    def __init__(self, layers=3):
        super().__init__()
        self.weights = nn.Parameter(torch.zeros(layers))
        self.gamma = nn.Parameter(torch.ones(()))

    def forward(
        self, states: Tuple[Tensor["B", "S", "D"], Tensor["B", "S", "D"], Tensor["B", "S", "D"]]
    ) -> Tensor["B", "S", "D"]:
        stacked = torch.stack(states, dim=0)
        w = self.weights.softmax(dim=0)
        mixed = (w[:, None, None] * stacked).sum(dim=0)  # BUG
        return self.gamma * mixed


def wrong_attend_maybe_masked(
    q: Tensor["B", "H", "T", "D"],
    k: Tensor["B", "H", "S", "D"],
    v: Tensor["B", "H", "S", "E"],
    mask: Optional[Tensor["B", "S", torch.bool]] = None,
) -> Tensor["B", "H", "T", "E"]:
    scores = torch.matmul(q, k.transpose(-1, -2)) / (q.size(-1) ** 0.5)
    if mask is not None:
        scores = scores.masked_fill(~mask[:, None], -1e9)  # BUG
    return torch.matmul(F.softmax(scores, dim=-1), v)


class WrongShortcut(nn.Module):
    def __init__(self, fan_in=20, fan_out=28):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(fan_in, fan_out), nn.ReLU(), nn.Linear(fan_out, fan_out))
        self.skip = nn.Linear(fan_in, fan_out) if fan_in != fan_out else None

    def forward(self, x: Tensor["B", 20]) -> Tensor["B", 28]:
        h = self.body(x)
        residual = self.skip(h) if self.skip is not None else x  # BUG
        return F.relu(h + residual)


@dataclass
class TaggerOutput:
    logits: Tensor["B", "S", 9]
    hidden: Tensor["B", "S", 30]


class WrongTaggerHead(nn.Module):
    def __init__(self, dim=30, tags=9):
        super().__init__()
        self.dense = nn.Linear(dim, dim)
        self.tags = nn.Linear(dim, tags)

    def forward(self, x: Tensor["B", "S", 30]) -> TaggerOutput:
        hidden = torch.tanh(self.dense(x))
        logits = self.tags(hidden)
        return TaggerOutput(hidden, logits)  # BUG


class WrongTwoWays(nn.Module):
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
            h = ahead  # BUG
        return self.out(h)  # HURTS


def wrong_keep_recent(x: Tensor["B", "S", "D"], mask: Tensor["B", "S"], most: int = 32) -> Tensor["B", "D"]:
    if x.shape[1] > most:
        x, mask = x[-most:], mask[:, -most:]  # BUG
    weighted = x * mask.unsqueeze(-1)  # HURTS
    return weighted.sum(dim=1) / (mask.sum(dim=1, keepdim=True) + 1e-6)


def wrong_mean_of_members(members: List[Tensor["B", 6]], temperature: float = 2.0) -> Tensor["B", 6]:
    logits = torch.stack(members, dim=1)
    probabilities = (logits / temperature).softmax(dim=-1)
    return probabilities.mean(dim=0)  # BUG


class WrongConditioned(nn.Module):
    def __init__(self, dim=36, cond=10):
        super().__init__()
        self.norm = nn.LayerNorm(dim, elementwise_affine=False)
        self.film = nn.Linear(cond, dim)  # BUG
        self.ff = nn.Linear(dim, dim)

    def forward(self, x: Tensor["B", "S", 36], cond: Optional[Tensor["B", 10]] = None) -> Tensor["B", "S", 36]:
        h = self.norm(x)
        if cond is not None:
            scale, shift = self.film(cond).unsqueeze(1).chunk(2, dim=-1)
            h = h * (1 + scale) + shift  # HURTS
        return x + self.ff(h)


PROGRAMS = [
    WrongMeanPooler,
    WrongTowers,
    WrongScalarMix,
    wrong_attend_maybe_masked,
    WrongShortcut,
    WrongTaggerHead,
    WrongTwoWays,
    wrong_keep_recent,
    wrong_mean_of_members,
    WrongConditioned,
]

SIZES = {"wrong_keep_recent": {"S": (40, 37, 50)}}
