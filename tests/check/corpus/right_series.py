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


class FinalHidden(nn.Module):
    def __init__(self, dim=14, hidden=22, classes=3):
        super().__init__()
        self.lstm = nn.LSTM(dim, hidden, num_layers=2, batch_first=True)
        self.drop = nn.Dropout(0.2)
        self.out = nn.Linear(hidden, classes)

    def forward(self, x: Tensor[B, S, 14]) -> Tensor[B, 3]:
        _, (h, _) = self.lstm(x)
        return self.out(self.drop(h[-1]))


class SentimentGru(nn.Module):
    def __init__(self, vocab=300, dim=24, hidden=20):
        super().__init__()
        self.embed = nn.Embedding(vocab, dim, padding_idx=0)
        self.gru = nn.GRU(dim, hidden, batch_first=True, bidirectional=True)
        self.attend = nn.Linear(2 * hidden, 1)
        self.out = nn.Linear(2 * hidden, 2)

    def forward(self, tokens: Tensor[B, S, torch.int64]) -> Tensor[B, 2]:
        h, _ = self.gru(self.embed(tokens))
        a = self.attend(h).softmax(dim=1)
        return self.out((a * h).sum(dim=1))


class Funnel(nn.Module):
    def __init__(self, widths=(40, 80, 160, 10)):
        super().__init__()
        self.layers = nn.ModuleList()
        for i in range(len(widths) - 1):
            self.layers.append(nn.Linear(widths[i], widths[i + 1]))

    def forward(self, x: Tensor[B, 40]) -> Tensor[B, 10]:
        for i, layer in enumerate(self.layers):
            x = layer(x)
            if i < len(self.layers) - 1:
                x = F.gelu(x)
        return x


class NormedStack(nn.Module):
    def __init__(self, dim=24, depth=4, times=4):
        super().__init__()
        self.ups = nn.ModuleList(nn.Linear(dim, times * dim) for _ in range(depth))
        self.downs = nn.ModuleList(nn.Linear(times * dim, dim) for _ in range(depth))
        self.norms = nn.ModuleList(nn.LayerNorm(dim) for _ in range(depth))

    def forward(self, x: Tensor[B, S, 24]) -> Tensor[B, S, 24]:
        for norm, up, down in zip(self.norms, self.ups, self.downs):
            x = x + down(F.silu(up(norm(x))))
        return x


def gated_block(x: Tensor["B", "S", 96]) -> Tensor["B", "S", 96]:
    h = ts.nn.layer_norm(x)
    value = ts.nn.linear(h, 256)
    gate = ts.nn.linear(h, 256)
    h = value * F.silu(gate)
    h = ts.nn.linear(h, 96)
    return x + h


def attention_pool(
    x: Float[torch.Tensor, "batch time feature"], query: Float[torch.Tensor, "feature"]
) -> Float[torch.Tensor, "batch feature"]:
    weights = (x @ query).softmax(dim=-1)
    return torch.einsum("bt,btf->bf", weights, x)


def stretch(x: Tensor[B, S, D], smooth: bool = False) -> Tensor[B, 2 * S, D]:
    y = x.repeat_interleave(2, dim=1)
    if smooth:
        y = F.avg_pool1d(y.transpose(1, 2), 3, stride=1, padding=1).transpose(1, 2)
    return y


class Prefixed(nn.Module):
    def __init__(self, dim=28, longest=128):
        super().__init__()
        self.start = nn.Parameter(torch.zeros(1, 1, dim))
        self.places = nn.Parameter(torch.randn(longest, dim) * 0.02)

    def forward(self, x: Tensor["B", "S", 28]) -> Tensor["B", "S+1", 28]:
        n = x.shape[1]
        places = self.places[: n + 1]
        start = self.start.expand(x.shape[0], -1, -1)
        return torch.cat((start, x), dim=1) + places


class Unroll(nn.Module):
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
        return torch.stack(steps, dim=1)


class CausalConvs(nn.Module):
    def __init__(self, channels=16, kernel=3, depth=3):
        super().__init__()
        self.pads = [(kernel - 1) * 2**i for i in range(depth)]
        self.convs = nn.ModuleList(nn.Conv1d(channels, channels, kernel, dilation=2**i) for i in range(depth))

    def forward(self, x: Tensor[B, 16, T]) -> Tensor[B, 16, T]:
        for pad, conv in zip(self.pads, self.convs):
            x = x + torch.relu(conv(F.pad(x, (pad, 0))))
        return x


def pair_up(x: Tensor[B, 2 * S, D]) -> Tensor[B, S, 2 * D]:
    b, n, d = x.shape
    return x.reshape(b, n // 2, 2 * d)


class Packed(nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn = nn.RNN(6, 11, num_layers=2, bidirectional=True)

    def forward(self, x: Tensor[T, B, 6]) -> tuple[Tensor[T, B, 22], Tensor[B, 44]]:
        out, h = self.rnn(x)
        return out, h.permute(1, 0, 2).flatten(1)


def halves(x: Tensor["B", "2*S"]) -> Tensor["B", "2*S"]:
    even, odd = x[:, ::2], x[:, 1::2]
    return torch.stack((odd, even), dim=-1).view_as(x)


def mlp_with_memory(x: Tensor["B", 12], memory: Tensor["M", 12]) -> Tensor["B", 12]:
    scores = x @ memory.T
    read = scores.softmax(-1) @ memory
    h = ts.nn.linear(torch.cat([x, read], dim=-1), 48).relu()
    return x + ts.nn.linear(h, 12)


PROGRAMS = [
    FinalHidden,
    SentimentGru,
    Funnel,
    NormedStack,
    lambda: tessera.function(gated_block),
    attention_pool,
    stretch,
    Prefixed,
    Unroll,
    CausalConvs,
    pair_up,
    Packed,
    halves,
    lambda: tessera.function(mlp_with_memory),
]

SIZES = {}
