"""What the programs of ``*_projects.py`` have in a file of their own; all of it is right."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn


def split_heads(x, heads):
    """(B, S, H * D) -> (B, H, S, D)"""
    b, s, width = x.shape
    return x.view(b, s, heads, width // heads).transpose(1, 2)


def merge_heads(x):
    """(B, H, S, D) -> (B, S, H * D)"""
    return x.transpose(1, 2).flatten(2)


def pad_to_multiple(x, multiple):
    """(B, S, D) with S filled up with zeros"""
    missing = -x.shape[1] % multiple
    return F.pad(x, (0, 0, 0, missing))


def sinusoids(length, dim):
    """(length, dim)"""
    place = torch.arange(length)[:, None]
    rate = torch.exp(torch.arange(0, dim, 2) * (-9.21 / dim))
    return torch.cat([torch.sin(place * rate), torch.cos(place * rate)], dim=-1)


class FeedForward(nn.Module):
    def __init__(self, dim, hidden, out=None):
        super().__init__()
        self.up = nn.Linear(dim, hidden)
        self.down = nn.Linear(hidden, out or dim)

    def forward(self, x):
        return self.down(F.gelu(self.up(x)))


class AddNorm(nn.Module):
    def __init__(self, dim, inner):
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.inner = inner

    def forward(self, x, *others):
        return x + self.inner(self.norm(x), *others)
