"""Notes, synthesizers and codecs, each with one line wrong."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Optional

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import nn

import tessera as ts
from tessera import Tensor

B, T, V, Q = ts.dims("B T V Q")


@dataclass
class CodecConfig:
    channels: int = 32
    strides: tuple[int, ...] = (2, 4, 5)
    codes: int = 256
    books: int = 4
    dim: int = 256


class WrongCodecEncoder(nn.Module):
    """Doubles its channels whenever it makes time coarser."""

    def __init__(self, config=CodecConfig()):
        super().__init__()
        width = config.channels
        layers = [nn.Conv1d(1, width, 7, padding=3)]
        for stride in config.strides:
            layers += [nn.ELU(), nn.Conv1d(width, 2 * width, 2 * stride, stride=stride, padding=stride // 2)]
            width = 2 * width
        layers += [nn.ELU(), nn.Conv1d(width, config.dim // 2, 3, padding=1)]  # BUG
        self.net = nn.Sequential(*layers)
        self.norm = nn.GroupNorm(1, config.dim)

    def forward(self, wave: Tensor["B", 1, 4000]) -> Tensor["B", 256, "_"]:
        return self.norm(self.net(wave))  # HURTS


def wrong_nearest_code(z: Tensor[B, T, 64], book: Tensor[V, 64]) -> tuple[Tensor[B, T, 64], Tensor[B, T, torch.int64]]:
    distance = z.pow(2).sum(-1, keepdim=True) - 2 * z @ book.T + book.pow(2).sum(-1, keepdim=True)  # BUG
    index = distance.argmin(dim=-1)
    return F.embedding(index, book), index


def wrong_additive_synth(
    pitch: Float[torch.Tensor, "batch frames"],
    loudness: Float[torch.Tensor, "batch frames harmonics"],
    rate: int = 16000,
) -> Float[torch.Tensor, "batch frames"]:
    """A sum of sines, each a multiple of the pitch."""
    harmonics = torch.arange(1, loudness.shape[1] + 1)  # BUG
    phase = torch.cumsum(2 * math.pi * pitch / rate, dim=1)
    waves = torch.sin(phase.unsqueeze(-1) * harmonics)
    return (waves * loudness).sum(dim=-1)  # HURTS


class WrongPianoRoll(nn.Module):
    """From a spectrogram: which key begins, and which is held."""

    def __init__(self, mels=229, hidden=48, keys=88):
        super().__init__()
        self.conv = nn.Sequential(
            nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d((1, 2)), nn.Conv2d(16, 32, 3, padding=1), nn.ReLU()
        )
        self.onset_rnn = nn.LSTM(32 * (mels // 2), hidden, batch_first=True, bidirectional=True)
        self.onset = nn.Linear(2 * hidden, keys)
        self.frame = nn.Linear(keys + 32 * (mels // 2), keys)

    def forward(self, mel: Tensor["B", "T", 229]) -> tuple[Tensor["B", "T", 88], Tensor["B", "T", 88]]:
        x = self.conv(mel.unsqueeze(1))
        x = x.flatten(2).transpose(1, 2)  # BUG
        onset = self.onset(self.onset_rnn(x)[0])  # HURTS
        frame = self.frame(torch.cat([x, onset.sigmoid().detach()], dim=-1))
        return onset, frame


def wrong_relative_music_scores(q: Tensor[B, 4, T, 16], table: Tensor[T, 16]) -> Tensor[B, 4, T, T]:
    """The skew of the Music Transformer."""
    rel = torch.einsum("bhtd,sd->bhts", q, table)
    rel = F.pad(rel, (1, 0))
    b, h, rows, columns = rel.shape
    rel = rel.reshape(b, h, rows, columns)  # BUG
    return rel[:, :, 1:]


class WrongDelayPattern(nn.Module):
    """Book q is q steps late; the model gives a distribution for each book."""

    def __init__(self, books=4, codes=256, dim=64):
        super().__init__()
        self.embed = nn.ModuleList([nn.Embedding(codes, dim) for _ in range(books)])
        self.rnn = nn.GRU(dim, dim, batch_first=True)
        self.heads = nn.ModuleList([nn.Linear(dim, codes) for _ in range(books)])

    def forward(self, codes: Int[torch.Tensor, "b 4 t"]) -> Float[torch.Tensor, "b 4 t 256"]:
        x = sum(embed(codes[:, q]) for q, embed in enumerate(self.embed))
        h, _ = self.rnn(x)
        return torch.stack([head(h) for head in self.heads])  # BUG


def wrong_beat_histogram(onset: Tensor["B", "T"], tempi: Tensor["V"]) -> Tensor["B", "V"]:
    """How well each tempo explains where notes begin."""
    time = torch.arange(onset.shape[1]) / 100
    angle = 2 * math.pi * time[:, None] * tempi[None, :] / 60
    real = onset @ angle.cos()
    imag = onset @ angle.T.sin()  # BUG
    return torch.hypot(real, imag)


def wrong_stereo_width(wave: Tensor[B, 2, T]) -> Tensor[B]:
    middle, side = wave.sum(dim=1), wave[:, 0] - wave[:, 1]
    energy = middle.pow(2).mean(dim=-1)
    return side.pow(2).mean(dim=1, keepdim=True) / energy  # BUG


class WrongChordLabeller(nn.Module):
    def __init__(self, notes=12, width=60, heads=5, layers=3):
        super().__init__()
        self.enter = nn.Linear(notes, width)
        self.norms = nn.ModuleList([nn.LayerNorm(width) for _ in range(layers)])
        self.wide = nn.ModuleList([nn.Linear(width, 4 * width) for _ in range(layers)])
        self.narrow = nn.ModuleList([nn.Linear(4 * width, width) for _ in range(layers)])
        self.out = nn.Linear(width, 25)

    def forward(self, chroma: Tensor[B, T, 12]) -> Tensor[B, T, 25]:
        x = self.enter(chroma)
        for norm, wide, narrow in zip(self.norms, self.wide, self.narrow):
            h = F.gelu(wide(norm(x)))
            x = x + h  # BUG
        return self.out(x)


def wrong_key_correlation(chroma: Tensor["B", 12], profile: Tensor[2, 12]) -> Tensor["B", 2, 12]:
    """Against the profile of major and minor, turned to all keys."""
    turned = torch.stack([profile.roll(k, dims=1) for k in range(12)], dim=1)
    turned = turned - turned.mean(dim=-1, keepdim=True)
    return torch.einsum("bn,mkn->bkm", chroma, turned)  # BUG


PROGRAMS = [
    WrongCodecEncoder,
    wrong_nearest_code,
    wrong_additive_synth,
    WrongPianoRoll,
    wrong_relative_music_scores,
    WrongDelayPattern,
    wrong_beat_histogram,
    wrong_stereo_width,
    WrongChordLabeller,
    wrong_key_correlation,
]
