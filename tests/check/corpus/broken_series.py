"""Sequences and stacks: recurrent layers, loops over layers, functional layers, declared dims with arithmetic."""

from __future__ import annotations

import tessera
import tessera as ts
import torch
import torch.nn.functional as F
from jaxtyping import Float
from tessera import Tensor
from torch import nn

B, S, D, T, H = ts.dims("B S D T H")


class WrongFinalHidden(nn.Module):
    def __init__(self, dim=14, hidden=22, classes=3):
        super().__init__()
        self.lstm = nn.LSTM(dim, hidden, num_layers=2)  # BUG
        self.drop = nn.Dropout(0.2)
        self.out = nn.Linear(hidden, classes)

    def forward(self, x: Tensor[B, S, 14]) -> Tensor[B, 3]:
        _, (h, _) = self.lstm(x)
        return self.out(self.drop(h[-1]))


class WrongSentimentGru(nn.Module):
    def __init__(self, vocab=300, dim=24, hidden=20):
        super().__init__()
        self.embed = nn.Embedding(vocab, dim, padding_idx=0)
        self.gru = nn.GRU(dim, hidden, batch_first=True, bidirectional=True)
        self.attend = nn.Linear(2 * hidden, 1)
        self.out = nn.Linear(hidden, 2)  # BUG

    def forward(self, tokens: Tensor[B, S, torch.int64]) -> Tensor[B, 2]:
        h, _ = self.gru(self.embed(tokens))
        a = self.attend(h).softmax(dim=1)
        return self.out((a * h).sum(dim=1))  # HURTS


class WrongFunnel(nn.Module):
    def __init__(self, widths=(40, 80, 160, 10)):
        super().__init__()
        self.layers = nn.ModuleList()
        for i in range(len(widths) - 1):
            self.layers.append(nn.Linear(widths[i], widths[i]))  # BUG

    def forward(self, x: Tensor[B, 40]) -> Tensor[B, 10]:
        for i, layer in enumerate(self.layers):
            x = layer(x)  # HURTS
            if i < len(self.layers) - 1:
                x = F.gelu(x)
        return x


class WrongNormedStack(nn.Module):
    def __init__(self, dim=24, depth=4, times=4):
        super().__init__()
        self.ups = nn.ModuleList(nn.Linear(dim, times * dim) for _ in range(depth))
        self.downs = nn.ModuleList(nn.Linear(times * dim, dim) for _ in range(depth))
        self.norms = nn.ModuleList(nn.LayerNorm(times * dim) for _ in range(depth))  # BUG

    def forward(self, x: Tensor[B, S, 24]) -> Tensor[B, S, 24]:
        for norm, up, down in zip(self.norms, self.ups, self.downs):
            x = x + down(F.silu(up(norm(x))))  # HURTS
        return x


def wrong_gated_block(x: Tensor["B", "S", 96]) -> Tensor["B", "S", 96]:
    h = ts.nn.layer_norm(x)
    value = ts.nn.linear(h, 256)
    gate = ts.nn.linear(h, 256)
    h = value * F.silu(gate)
    h = ts.nn.linear(h, 64)  # BUG
    return x + h  # HURTS


def wrong_attention_pool(
    x: Float[torch.Tensor, "batch time feature"], query: Float[torch.Tensor, "feature"]
) -> Float[torch.Tensor, "batch feature"]:
    weights = (x @ query).softmax(dim=-1)
    return torch.einsum("bt,btf->bt", weights, x)  # BUG


def wrong_stretch(x: Tensor[B, S, D], smooth: bool = False) -> Tensor[B, 2 * S, D]:
    y = x.repeat_interleave(2, dim=-1)  # BUG
    if smooth:
        y = F.avg_pool1d(y.transpose(1, 2), 3, stride=1, padding=1).transpose(1, 2)
    return y


class WrongPrefixed(nn.Module):
    def __init__(self, dim=28, longest=128):
        super().__init__()
        self.start = nn.Parameter(torch.zeros(1, 1, dim))
        self.places = nn.Parameter(torch.randn(longest, dim) * 0.02)

    def forward(self, x: Tensor["B", "S", 28]) -> Tensor["B", "S+1", 28]:
        n = x.shape[1]
        places = self.places[:n]  # BUG
        start = self.start.expand(x.shape[0], -1, -1)
        return torch.cat((start, x), dim=1) + places  # HURTS


class WrongUnroll(nn.Module):
    def __init__(self, dim=9, hidden=15):
        super().__init__()
        self.cell = nn.GRUCell(dim, hidden)
        self.out = nn.Linear(hidden, dim)
        self.hidden = hidden

    def forward(self, x: Tensor[B, T, 9]) -> Tensor[B, T, 9]:
        h = x.new_zeros(x.shape[0], self.hidden)
        steps = []
        for t in range(x.shape[1]):
            h = self.cell(x[:, t], h)
            steps.append(self.out(h))
        return torch.stack(steps)  # BUG


class WrongCausalConvs(nn.Module):
    def __init__(self, channels=16, kernel=3, depth=3):
        super().__init__()
        self.pads = [(kernel - 1) * 2**i for i in range(depth)]
        self.convs = nn.ModuleList(
            nn.Conv1d(channels, channels, kernel, dilation=2 ** (i + 1))  # BUG
            for i in range(depth)
        )

    def forward(self, x: Tensor[B, 16, T]) -> Tensor[B, 16, T]:
        for pad, conv in zip(self.pads, self.convs):
            x = x + torch.relu(conv(F.pad(x, (pad, 0))))  # HURTS
        return x


PROGRAMS = [
    WrongFinalHidden,
    WrongSentimentGru,
    WrongFunnel,
    WrongNormedStack,
    lambda: tessera.function(wrong_gated_block),
    wrong_attention_pool,
    wrong_stretch,
    WrongPrefixed,
    WrongUnroll,
    WrongCausalConvs,
]

SIZES = {}
