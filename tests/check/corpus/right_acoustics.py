"""Sound: spectra, rooms, voices, codes."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Complex, Float, Int
from torch import nn

import tessera as ts
from tessera import Tensor

B, T, C, F_, M = ts.dims("B T C F M")

RATE, HOP, SPAN = 16000, 160, 400


class MelScale(nn.Module):
    def __init__(self, bins=201, bands=80):
        super().__init__()
        self.register_buffer("bank", torch.rand(bands, bins))

    def forward(self, power: Tensor["B", 201, "T"]) -> Tensor["B", 80, "T"]:
        mel = self.bank @ power
        return torch.log(mel.clamp(min=1e-5))


class ConvolutionOfSpeech(nn.Module):
    """The part of a conformer that hears what is near."""

    def __init__(self, width: int = 144, kernel: int = 31):
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.expand = nn.Conv1d(width, 2 * width, 1)
        self.near = nn.Conv1d(width, width, kernel, padding=kernel // 2, groups=width)
        self.batch_norm = nn.BatchNorm1d(width)
        self.project = nn.Conv1d(width, width, 1)

    def forward(self, x: Tensor["B", "T", 144]) -> Tensor["B", "T", 144]:
        y = self.norm(x).transpose(1, 2)
        y = F.glu(self.expand(y), dim=1)
        y = F.silu(self.batch_norm(self.near(y)))
        return x + self.project(y).transpose(1, 2)


class GatedWave(nn.Module):
    def __init__(self, channels=32, layers=4):
        super().__init__()
        self.dilated = nn.ModuleList()
        self.skips = nn.ModuleList()
        for i in range(layers):
            step = 2**i
            self.dilated.append(nn.Conv1d(channels, 2 * channels, 3, dilation=step, padding=step))
            self.skips.append(nn.Conv1d(channels, channels, 1))

    def forward(self, x: Float[torch.Tensor, "b 32 t"]) -> Float[torch.Tensor, "b 32 t"]:
        total = 0
        for dilated, skip in zip(self.dilated, self.skips):
            a, g = dilated(x).chunk(2, dim=1)
            y = skip(torch.tanh(a) * torch.sigmoid(g))
            total = total + y
            x = x + y
        return total


class Coded(NamedTuple):
    codes: Tensor["B", "T", torch.int64]
    sound: Tensor["B", "T", 128]


class CodeBook(nn.Module):
    """The nearest of many learned vectors."""

    def __init__(self, entries=1024, width=128):
        super().__init__()
        self.entries = nn.Parameter(torch.randn(entries, width))

    def forward(self, x: Tensor["B", "T", 128]) -> Coded:
        flat = x.reshape(-1, x.shape[-1])
        distance = torch.cdist(flat, self.entries)
        codes = distance.argmin(dim=-1).view(x.shape[:-1])
        quantized = self.entries[codes]
        return Coded(codes, x + (quantized - x).detach())


class SpectrumClassifier(nn.Module):
    def __init__(self, classes=35):
        super().__init__()
        self.register_buffer("window", torch.hann_window(SPAN))
        self.norm = nn.LayerNorm(SPAN // 2 + 1)
        self.hidden = nn.Linear(SPAN // 2 + 1, 128)
        self.out = nn.Linear(128, classes)

    def forward(self, wave: Tensor["B", 16000]) -> Tensor["B", 35]:
        frames = wave.unfold(-1, SPAN, HOP) * self.window
        power = torch.fft.rfft(frames).abs() ** 2
        hidden = F.relu(self.hidden(self.norm(power)))
        return self.out(hidden.mean(dim=1))


def letters_loss(
    logits: Float[torch.Tensor, "batch frames 29"],
    letters: Int[torch.Tensor, "batch n"],
    frames: Int[torch.Tensor, "batch"],
    counts: Int[torch.Tensor, "batch"],
) -> Float[torch.Tensor, "batch"]:
    log_probs = logits.log_softmax(dim=-1).transpose(0, 1)
    loss = F.ctc_loss(log_probs, letters, frames, counts, reduction="none", zero_infinity=True)
    return loss / counts.clamp(min=1)


def notes_loss(logits: Tensor["B", "T", 88], notes: Tensor["B", "T", torch.int64]) -> Tensor["B"]:
    """Of each tune, what was guessed wrong."""
    each = F.cross_entropy(logits.transpose(1, 2), notes, reduction="none")
    return each.mean(dim=1)


def middle_and_side(stereo: Tensor[B, 2, T]) -> Tensor[B, 2, T]:
    left, right = stereo.unbind(dim=1)
    middle = (left + right) / 2
    side = (left - right) / 2
    return torch.stack([middle, side], dim=1)


class WhoSpeaks(nn.Module):
    """A voice as one vector, whatever is said."""

    def __init__(self, bands: int = 80, width: int = 256, size: int = 192):
        super().__init__()
        self.frames = nn.Sequential(
            nn.Conv1d(bands, width, 5, padding=2),
            nn.ReLU(),
            nn.Conv1d(width, width, 3, padding=1),
            nn.ReLU(),
        )
        self.attention = nn.Conv1d(width, width, 1)
        self.norm = nn.BatchNorm1d(2 * width)
        self.embed = nn.Linear(2 * width, size)

    def forward(self, mel: Tensor["B", 80, "T"]) -> Tensor["B", 192]:
        x = self.frames(mel)
        w = self.attention(x).softmax(dim=2)
        mean = (w * x).sum(dim=2)
        spread = ((w * x**2).sum(dim=2) - mean**2).clamp(min=1e-6).sqrt()
        x = self.norm(torch.cat([mean, spread], dim=1))
        return F.normalize(self.embed(x), dim=-1)


def towards_speaker(
    covariance: Complex[torch.Tensor, "b f c c"],
    steering: Complex[torch.Tensor, "b f c"],
    spectrum: Complex[torch.Tensor, "b c f t"],
) -> Complex[torch.Tensor, "b f t"]:
    """What one direction says, with the least of all others."""
    solved = torch.linalg.solve(covariance, steering.unsqueeze(-1)).squeeze(-1)
    gain = torch.einsum("bfc,bfc->bf", steering.conj(), solved)
    weights = solved / gain.unsqueeze(-1)
    return torch.einsum("bfc,bcft->bft", weights.conj(), spectrum)


PROGRAMS = [
    MelScale,
    ConvolutionOfSpeech,
    GatedWave,
    CodeBook,
    SpectrumClassifier,
    letters_loss,
    notes_loss,
    middle_and_side,
    WhoSpeaks,
    towards_speaker,
]
