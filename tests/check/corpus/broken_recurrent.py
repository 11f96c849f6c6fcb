"""Recurrence, time series, speech."""

from typing import NamedTuple, Optional

import torch
from torch import nn
from torch.nn import functional as F
from tessera import Tensor


class WrongCellLoop(nn.Module):
    def __init__(self, inputs=12, hidden=40):
        super().__init__()
        self.hidden = hidden
        self.cell = nn.GRUCell(inputs, hidden)
        self.out = nn.Linear(hidden, 3)

    def forward(self, x: Tensor["B", "T", 12]) -> Tensor["B", "T", 3]:
        h = x.new_zeros(x.size(1), self.hidden)  # BUG
        outs = []
        for t in range(x.size(1)):
            h = self.cell(x[:, t], h)  # HURTS
            outs.append(self.out(h))
        return torch.stack(outs, dim=1)


class WrongBiTagger(nn.Module):
    def __init__(self, vocab=500, dim=50, hidden=64, tags=9):
        super().__init__()
        self.embed = nn.Embedding(vocab, dim)
        self.lstm = nn.LSTM(dim, hidden, bidirectional=True, batch_first=True)
        self.tag = nn.Linear(hidden, tags)  # BUG

    def forward(self, words: Tensor["B", "S", torch.int64]) -> Tensor["B", "S", 9]:
        out, _ = self.lstm(self.embed(words))
        return self.tag(out)  # HURTS


class WrongAdditive(nn.Module):
    def __init__(self, enc=64, dec=48, hidden=32):
        super().__init__()
        self.wk = nn.Linear(enc, hidden)
        self.wq = nn.Linear(enc, hidden)  # BUG
        self.v = nn.Linear(hidden, 1)

    def forward(self, query: Tensor["B", 48], keys: Tensor["B", "S", 64]) -> Tensor["B", 64]:
        energy = self.v(torch.tanh(self.wk(keys) + self.wq(query).unsqueeze(1))).squeeze(-1)  # HURTS
        weights = energy.softmax(dim=-1)
        return torch.bmm(weights.unsqueeze(1), keys).squeeze(1)


class State(NamedTuple):
    h: Tensor["B", 24]
    c: Tensor["B", 24]


def wrong_lstm_step(
    x: Tensor["B", 10], h: Tensor["B", 24], c: Tensor["B", 24], w: Tensor[96, 34], b: Tensor[96]
) -> tuple[Tensor["B", 24], Tensor["B", 24]]:
    gates = torch.cat([x, h], dim=1) @ w.t() + b
    i, f, g, o = gates.chunk(4, dim=0)  # BUG
    c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)  # HURTS
    return torch.sigmoid(o) * torch.tanh(c), c


class WrongCausalConv(nn.Module):
    def __init__(self, channels=32, kernel=3, dilation=2):
        super().__init__()
        self.pad = kernel * dilation  # BUG
        self.conv = nn.Conv1d(channels, channels, kernel, dilation=dilation)

    def forward(self, x: Tensor["B", 32, "T"]) -> Tensor["B", 32, "T"]:
        return x + self.conv(F.pad(x, (self.pad, 0)))  # HURTS


class WrongTemporalStack(nn.Module):
    def __init__(self, inputs=7, channels=(16, 16, 32), kernel=3):
        super().__init__()
        layers = []
        for i, width in enumerate(channels):
            before = inputs if i == 0 else channels[i]  # BUG
            layers.append(nn.Conv1d(before, width, kernel, padding=kernel // 2))
            layers.append(nn.ReLU())
        self.net = nn.Sequential(*layers)
        self.head = nn.Linear(channels[-1], 1)

    def forward(self, series: Tensor["B", "T", 7]) -> Tensor["B", "T"]:
        y = self.net(series.transpose(1, 2)).transpose(1, 2)  # HURTS
        return self.head(y).squeeze(-1)


def wrong_windows(series: Tensor["T", "C"], size: int = 8) -> Tensor["T-7", 8, "C"]:
    out = series.unfold(0, size, 1)
    return out  # BUG


def wrong_lagged(series: Tensor["B", "T"]) -> Tensor["B", "T-3", 4]:
    t = series.shape[1]
    columns = [series[:, i : t - 3 + i] for i in range(3)]  # BUG
    return torch.stack(columns, dim=-1)


def wrong_log_mel(wave: Tensor["B", "L"], bank: Tensor[201, 80]) -> Tensor["B", "F", 80]:
    frames = wave.unfold(1, 400, 160)
    power = torch.fft.rfft(frames, dim=-1).abs() ** 2
    mel = bank @ power  # BUG
    return mel.clamp(min=1e-10).log10()


def wrong_overlap_add(frames: Tensor["B", "N", 64], window: Tensor[64]) -> Tensor["B", "N*32+32"]:
    windowed = frames * window
    first, second = windowed[..., :32], windowed[..., 32:]
    first = F.pad(first, (0, 0, 0, 1))
    second = F.pad(second, (0, 0, 1, 0))
    return (first + second).flatten(2)  # BUG


PROGRAMS = [
    WrongCellLoop,
    WrongBiTagger,
    WrongAdditive,
    wrong_lstm_step,
    WrongCausalConv,
    WrongTemporalStack,
    wrong_windows,
    wrong_lagged,
    wrong_log_mel,
    wrong_overlap_add,
]

SIZES = {
    "wrong_windows": {"T": (20, 31, 17)},
    "wrong_lagged": {"T": (9, 14, 11)},
    "wrong_log_mel": {"L": (720,), "F": (3,)},
}
