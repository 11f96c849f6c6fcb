"""Speech and sound: front ends, encoders, alignments, each with one line wrong."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import nn

import tessera as ts
from tessera import Tensor

B, T, D = ts.dims("B T D")


class ConvModule(nn.Module):
    """The convolution of a Conformer block; takes and gives (B, T, D)."""

    def __init__(self, dim, kernel=15):
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.expand = nn.Conv1d(dim, 2 * dim, 1)
        self.depth = nn.Conv1d(dim, dim, kernel, padding=kernel // 2, groups=dim)
        self.bn = nn.BatchNorm1d(dim)
        self.project = nn.Conv1d(dim, dim, 1)

    def forward(self, x):
        y = self.norm(x).transpose(1, 2)
        y = F.glu(self.expand(y), dim=1)
        y = F.silu(self.bn(self.depth(y)))
        return self.project(y).transpose(1, 2)


class HalfStep(nn.Module):
    def __init__(self, dim, factor=4):
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.up = nn.Linear(dim, factor * dim)
        self.down = nn.Linear(factor * dim, dim)

    def forward(self, x):
        return 0.5 * self.down(F.silu(self.up(self.norm(x))))


class WrongSubsamplingFrontEnd(nn.Module):
    """Two strided convolutions over (time, mel)."""

    def __init__(self, mels=80, dim=96):
        super().__init__()
        self.conv = nn.Sequential(
            nn.Conv2d(1, dim, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(dim, dim, 3, stride=2, padding=1),
            nn.ReLU(),
        )
        self.out = nn.Linear(dim * (mels // 4), dim)

    def forward(self, mel: Tensor["B", 200, 80]) -> Tensor["B", 50, 96]:
        x = self.conv(mel[:, None])
        x = x.permute(0, 2, 1, 3).flatten(1, 2)  # BUG
        return self.out(x)  # HURTS


class WrongConformerEncoder(nn.Module):
    def __init__(self, mels=80, dim=64, layers=3, kernel=16):  # BUG
        super().__init__()
        self.inp = nn.Linear(mels, dim)
        self.blocks = nn.ModuleList()
        for _ in range(layers):
            self.blocks.append(nn.ModuleDict({"ff": HalfStep(dim), "conv": ConvModule(dim, kernel)}))
        self.norm = nn.LayerNorm(dim)

    def forward(self, mel: Tensor[B, T, 80]) -> Tensor[B, T, 64]:
        x = self.inp(mel)
        for block in self.blocks:
            x = x + block["ff"](x)
            x = x + block["conv"](x)  # HURTS
        return self.norm(x)


def wrong_ctc_greedy(
    log_probs: Float[torch.Tensor, "batch time vocab"], lengths: Int[torch.Tensor, "batch"]
) -> tuple[Int[torch.Tensor, "batch time"], Float[torch.Tensor, "batch"]]:
    best, ids = log_probs.max(dim=1)  # BUG
    steps = torch.arange(log_probs.shape[1])
    alive = steps < lengths[:, None]
    return ids.masked_fill(~alive, 0), (best * alive).sum(dim=1)  # HURTS


class WrongMultiResolutionLoss(nn.Module):
    def __init__(self, sizes=(256, 512)):
        super().__init__()
        self.sizes = sizes

    def magnitude(self, wave, size):
        frames = wave.unfold(-1, size, size // 4)
        spectrum = torch.fft.rfft(frames * torch.hann_window(size), dim=-1)
        return spectrum.abs().clamp(min=1e-5)

    def forward(self, fake: Tensor["B", 4096], real: Tensor["B", 4096]) -> Tensor["B"]:
        total = torch.zeros(fake.shape[0])
        for size in self.sizes:
            a, b = self.magnitude(fake, size), self.magnitude(real, size)
            convergence = (a - b).norm(dim=(1, 2)) / b.norm(dim=(1, 2))
            logs = (a.log() - b.log()).abs().mean(dim=1)  # BUG
            total = total + convergence + logs  # HURTS
        return total


class Utterance(NamedTuple):
    feats: Tensor["B", "T", 40]
    speaker: Tensor["B", torch.int64]


class WrongSpeakerConditioned(nn.Module):
    def __init__(self, feats=40, speakers=12, dim=32):
        super().__init__()
        self.encode = nn.GRU(feats, dim, batch_first=True, bidirectional=True)
        self.who = nn.Embedding(speakers, 2 * dim)
        self.out = nn.Linear(2 * dim, 20)

    def forward(self, feats: Tensor["B", "T", 40], speaker: Tensor["B", torch.int64]) -> Tensor["B", "T", 20]:
        hidden, _ = self.encode(feats)
        who = self.who(speaker)  # BUG
        return self.out(torch.tanh(hidden + who))  # HURTS


class WrongDurationExpander(nn.Module):
    """Length regulator with soft alignment."""

    def __init__(self, dim=48):
        super().__init__()
        self.predict = nn.Sequential(nn.Linear(dim, dim), nn.ReLU(), nn.Linear(dim, 1))

    def forward(self, text: Tensor["B", "L", 48], frames: Tensor["T"]) -> Tensor["B", "T", 48]:
        width = F.softplus(self.predict(text)).squeeze(-1)
        centre = width.cumsum(dim=-1) - width / 2
        score = -((frames[None, :, None] - centre[:, None, :]) ** 2)
        align = score.softmax(dim=1)
        return torch.einsum("btl,bld->bld", align, text)  # BUG


class WrongResidualVectorQuantizer(nn.Module):
    def __init__(self, books=4, entries=64, dim=24):
        super().__init__()
        self.books = nn.Parameter(torch.randn(books, entries, dim))

    def nearest(self, x, book):
        distance = (x[..., None, :] - book).pow(2).sum(dim=-1)
        return distance.argmin(dim=-1)

    def forward(self, x: Tensor[B, T, 24]) -> tuple[Tensor[B, T, 24], Tensor[B, T, 4, torch.int64]]:
        residual, total, codes = x, torch.zeros_like(x), []
        for book in self.books:
            index = self.nearest(residual, book)
            chosen = book[index]
            residual = residual - chosen
            total = total + chosen
            codes.append(index)
        return total, torch.stack(codes, dim=1)  # BUG


def wrong_spec_augment(
    mel: Tensor["B", "T", 80], start: Tensor["B", torch.int64], width: int = 10
) -> Tensor["B", "T", 80]:
    position = torch.arange(mel.shape[-1])  # BUG
    inside = (position >= start[:, None]) & (position < start[:, None] + width)
    return mel.masked_fill(inside.unsqueeze(-1), 0.0)  # HURTS


class WrongAttentivePooling(nn.Module):
    def __init__(self, channels=128, hidden=32, out=192):
        super().__init__()
        self.attend = nn.Sequential(nn.Conv1d(channels, hidden, 1), nn.Tanh(), nn.Conv1d(hidden, channels, 1))
        self.bn = nn.BatchNorm1d(2 * channels)
        self.fc = nn.Linear(channels, out)  # BUG

    def forward(self, x: Tensor["B", 128, "T"]) -> Tensor["B", 192]:
        weight = self.attend(x).softmax(dim=-1)
        mean = (weight * x).sum(dim=-1)
        spread = ((weight * x**2).sum(dim=-1) - mean**2).clamp(min=1e-6).sqrt()
        return self.fc(self.bn(torch.cat([mean, spread], dim=1)))  # HURTS


def wrong_transducer_join(
    audio: Tensor["B", "T", "D"], text: Tensor["B", "U", "D"], weight: Tensor["V", "D"]
) -> Tensor["B", "T", "U", "V"]:
    joint = torch.tanh(audio.unsqueeze(1) + text.unsqueeze(2))  # BUG
    return F.linear(joint, weight).log_softmax(dim=-1)


SIZES = {"WrongResidualVectorQuantizer": {"T": (11, 13, 9)}}


PROGRAMS = [
    WrongSubsamplingFrontEnd,
    WrongConformerEncoder,
    wrong_ctc_greedy,
    WrongMultiResolutionLoss,
    WrongSpeakerConditioned,
    WrongDurationExpander,
    WrongResidualVectorQuantizer,
    wrong_spec_augment,
    WrongAttentivePooling,
    wrong_transducer_join,
]
