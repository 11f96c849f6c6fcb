"""Phones, watches and keyboards: small models and what surrounds them, each with one line wrong."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Optional

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import nn

import tessera as ts
from tessera import Tensor

B, S, T, D, C = ts.dims("B S T D C")
f32, i64 = torch.float32, torch.int64


@dataclass
class WatchConfig:
    sensors: int = 6
    width: int = 40
    heads: int = 5
    window: int = 50
    stride: int = 25
    classes: int = 8


def to_windows(signal, size, step):
    """(B, T, C) -> (B, windows, size, C)"""
    return signal.unfold(1, size, step).transpose(2, 3)


def features_of(windows):
    """(B, windows, size, C) -> (B, windows, 3 * C)"""
    mean, deviation = windows.mean(dim=2), windows.std(dim=2)
    return torch.cat([mean, deviation, windows.amax(dim=2)], dim=-1)


class WrongActivityModel(nn.Module):
    def __init__(self, config=WatchConfig()):
        super().__init__()
        self.config = config
        self.enter = nn.Linear(2 * config.sensors, config.width)  # BUG
        self.rnn = nn.GRU(config.width, config.width, batch_first=True)
        self.out = nn.Linear(config.width, config.classes)

    def forward(self, signal: Tensor["B", 500, 6]) -> Tensor["B", 8]:
        windows = to_windows(signal, self.config.window, self.config.stride)
        x = torch.relu(self.enter(features_of(windows)))  # HURTS
        out, _ = self.rnn(x)
        return self.out(out[:, -1])


class WrongWatchAttention(nn.Module):
    """Few heads over few steps."""

    def __init__(self, config=WatchConfig()):
        super().__init__()
        self.heads = config.heads
        self.qkv = nn.Linear(config.width, 3 * config.width)
        self.out = nn.Linear(config.width, config.width)

    def forward(self, x: Tensor[B, S, 40]) -> Tensor[B, S, 40]:
        b, s, d = x.shape
        q, k, v = self.qkv(x).chunk(3, dim=-1)
        q, k, v = (t.view(b, s, self.heads, d // self.heads).transpose(1, 2) for t in (q, k, v))
        y = F.scaled_dot_product_attention(q, k, v)
        return self.out(y.flatten(2))  # BUG


def wrong_next_word(logits: Tensor["B", "S", "C", f32], length: Tensor["B", i64], k: int = 3) -> Tensor["B", 3, i64]:
    """Three suggestions behind the last word that is there."""
    rows = torch.arange(logits.shape[0])
    last = logits[rows, length - 1]
    return last.topk(k, dim=-1).values  # BUG


def wrong_stroke_to_keys(path: Tensor[B, T, 2], keys: Tensor[26, 2], spread: float = 0.1) -> Tensor[B, T, 26]:
    """How near each point of a swipe is to each key."""
    distance = (path - keys).pow(2).sum(dim=-1)  # BUG
    return torch.softmax(-distance / spread, dim=-1)


class WrongStreamingConv(nn.Module):
    """Keeps what it needs of the past between calls."""

    def __init__(self, channels=16, kernel=5):
        super().__init__()
        self.kernel = kernel
        self.conv = nn.Conv1d(channels, channels, kernel)

    def forward(
        self, chunk: Float[torch.Tensor, "b 16 t"], past: Float[torch.Tensor, "b 16 4"]
    ) -> tuple[Float[torch.Tensor, "b 16 t"], Float[torch.Tensor, "b 16 4"]]:
        x = torch.cat([past, chunk], dim=-1)
        return self.conv(x), x[..., -self.kernel :]  # BUG


class WrongWakeWord(nn.Module):
    """Depthwise separable blocks, then one number."""

    def __init__(self, width=32, blocks=3):
        super().__init__()
        self.enter = nn.Conv2d(1, width, (10, 4), stride=(2, 2), padding=(5, 1))
        self.depth = nn.ModuleList([nn.Conv2d(width, width, 3, padding=1, groups=width) for _ in range(blocks)])
        self.point = nn.ModuleList([nn.Conv2d(width, width, 1) for _ in range(blocks)])
        self.norm = nn.ModuleList([nn.BatchNorm2d(width if i else 1) for i in range(blocks)])  # BUG
        self.out = nn.Linear(width, 1)

    def forward(self, mfcc: Tensor["B", 49, 10]) -> Tensor["B"]:
        x = F.relu(self.enter(mfcc.unsqueeze(1)))
        for depth, point, norm in zip(self.depth, self.point, self.norm):
            x = F.relu(norm(point(depth(x))))  # HURTS
        return self.out(x.mean(dim=(2, 3))).squeeze(-1)


def wrong_single_answer(query: Tensor[1, "S", 64], keys: Tensor["C", 64]) -> Tensor[1, "C"]:
    """One user, one question."""
    pooled = query.mean(dim=1).squeeze()
    return pooled @ keys.T  # BUG


class WrongFaceUnlock(nn.Module):
    def __init__(self, people=5, dim=64):
        super().__init__()
        self.net = nn.Sequential(
            nn.Conv2d(3, 16, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(16, 32, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(32 * 14 * 14, dim),  # BUG
        )
        self.known = nn.Parameter(torch.randn(people, dim))

    def forward(self, face: Tensor[B, 3, 112, 112]) -> Tensor[B, 5]:
        code = F.normalize(self.net(face), dim=-1)  # HURTS
        return code @ F.normalize(self.known, dim=-1).T


class WrongGesturePair(nn.Module):
    """Both hands: the helper joins what it is given along the last dimension."""

    def __init__(self, joints=21, dim=32):
        super().__init__()
        self.hand = nn.Linear(3 * joints, dim)
        self.pair = nn.Linear(2 * dim, 10)

    def encode(self, hand):
        return F.relu(self.hand(hand.flatten(1)))  # BUG

    def forward(self, left: Tensor[B, T, 21, 3], right: Tensor[B, T, 21, 3]) -> Tensor[B, T, 10]:
        both = torch.cat([self.encode(left), self.encode(right)], dim=-1)
        return self.pair(both)


PROGRAMS = [
    WrongActivityModel,
    WrongWatchAttention,
    wrong_next_word,
    wrong_stroke_to_keys,
    WrongStreamingConv,
    WrongWakeWord,
    wrong_single_answer,
    WrongFaceUnlock,
    WrongGesturePair,
]
