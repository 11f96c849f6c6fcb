"""Waves and series: convolutions, spectra and attention along a time of any length."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from tests.export.architectures import TEXT, Job


class Causal(nn.Module):
    """A residual block whose convolutions see the past only."""

    def __init__(self, wide: int, dilation: int) -> None:
        super().__init__()
        self.reach = 2 * dilation
        self.first = nn.utils.parametrizations.weight_norm(nn.Conv1d(wide, wide, 3, dilation=dilation))
        self.second = nn.utils.parametrizations.weight_norm(nn.Conv1d(wide, wide, 3, dilation=dilation))
        self.drop = nn.Dropout(0.1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.drop(self.first(functional.pad(x, (self.reach, 0))).relu())
        y = self.drop(self.second(functional.pad(y, (self.reach, 0))).relu())
        return (x + y).relu()


class TemporalConvolutions(nn.Module):
    """Bai et al. (2018)."""

    def __init__(self) -> None:
        super().__init__()
        self.inside = nn.Conv1d(4, 8, 1)
        self.blocks = nn.Sequential(*(Causal(8, 2**at) for at in range(3)))
        self.head = nn.Linear(8, 2)

    def forward(self, series: torch.Tensor) -> torch.Tensor:
        return self.head(self.blocks(self.inside(series.transpose(1, 2))).transpose(1, 2))


def tcn() -> Job:
    return TemporalConvolutions(), (torch.randn(2, 10, 4),), {"series": TEXT}


class WaveUNet(nn.Module):
    """Down by strides, up by interpolation to the size that was, and what was put beside it."""

    def __init__(self) -> None:
        super().__init__()
        self.down = nn.ModuleList([nn.Conv1d(1, 4, 5, 2, 2), nn.Conv1d(4, 8, 5, 2, 2)])
        self.middle = nn.Sequential(nn.Conv1d(8, 8, 3, padding=1), nn.GroupNorm(2, 8), nn.PReLU())
        self.up = nn.ModuleList([nn.Conv1d(12, 4, 3, padding=1), nn.Conv1d(5, 4, 3, padding=1)])
        self.out = nn.Conv1d(4, 1, 1)

    def forward(self, wave: torch.Tensor) -> torch.Tensor:
        x, before = wave, []
        for layer in self.down:
            before.append(x)
            x = functional.leaky_relu(layer(x), 0.2)
        x = self.middle(x)
        for layer in self.up:
            beside = before.pop()
            x = functional.interpolate(x, size=beside.size(-1), mode="linear", align_corners=False)
            x = functional.leaky_relu(layer(torch.cat([x, beside], dim=1)), 0.2)
        return torch.tanh(self.out(x))


def unet1d() -> Job:
    return WaveUNet(), (torch.randn(2, 1, 24),), {"wave": {0: "B", 2: "T"}}


class ConformerBlock(nn.Module):
    """Gulati et al. (2020): half a network, attention, a gated convolution, the other half."""

    def __init__(self, wide: int) -> None:
        super().__init__()
        self.halves = nn.ModuleList(
            nn.Sequential(nn.LayerNorm(wide), nn.Linear(wide, 2 * wide), nn.SiLU(), nn.Linear(2 * wide, wide))
            for _ in range(2)
        )
        self.before, self.attention = nn.LayerNorm(wide), nn.MultiheadAttention(wide, 2, batch_first=True)
        self.norm, self.gate = nn.LayerNorm(wide), nn.Conv1d(wide, 2 * wide, 1)
        self.depth = nn.Conv1d(wide, wide, 5, padding="same", groups=wide)
        self.batch, self.mix, self.last = nn.BatchNorm1d(wide), nn.Conv1d(wide, wide, 1), nn.LayerNorm(wide)

    def forward(self, x: torch.Tensor, padding: torch.Tensor) -> torch.Tensor:
        x = x + 0.5 * self.halves[0](x)
        y = self.before(x)
        x = x + self.attention(y, y, y, key_padding_mask=padding)[0]
        y = functional.glu(self.gate(self.norm(x).transpose(1, 2)), dim=1)
        y = y.masked_fill(padding[:, None], 0.0)
        x = x + self.mix(functional.silu(self.batch(self.depth(y)))).transpose(1, 2)
        return self.last(x + 0.5 * self.halves[1](x))


class Conformer(nn.Module):
    """Frames of sound and how many are real; letters come out of a quarter as many."""

    def __init__(self) -> None:
        super().__init__()
        self.fewer = nn.Sequential(nn.Conv2d(1, 4, 3, 2, 1), nn.ReLU(), nn.Conv2d(4, 4, 3, 2, 1), nn.ReLU())
        self.inside = nn.Linear(4 * 4, 8)
        self.blocks = nn.ModuleList(ConformerBlock(8) for _ in range(2))
        self.head = nn.Linear(8, 6)

    def forward(self, frames: torch.Tensor, lengths: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        x = self.fewer(frames.unsqueeze(1))
        x = self.inside(x.permute(0, 2, 1, 3).flatten(2))
        lengths = (lengths + 3) // 4
        padding = torch.arange(x.size(1), device=x.device)[None, :] >= lengths[:, None]
        for block in self.blocks:
            x = block(x, padding)
        return functional.log_softmax(self.head(x), dim=-1), lengths


def conformer() -> Job:
    call = {"frames": torch.randn(2, 12, 16), "lengths": torch.tensor([12, 9])}
    return Conformer(), call, {"frames": {0: "B", 1: "T"}, "lengths": {0: "B"}}


class ProbSparse(nn.Module):
    """Only the questions with something to ask look at all moments; the others get the mean (Zhou et al., 2021)."""

    def __init__(self, wide: int, heads: int, asked: int) -> None:
        super().__init__()
        self.heads, self.asked = heads, asked
        self.qkv, self.out = nn.Linear(wide, 3 * wide), nn.Linear(wide, wide)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        b, t, d = x.shape
        q, k, v = self.qkv(x).view(b, t, 3, self.heads, d // self.heads).permute(2, 0, 3, 1, 4)
        scores = q @ k.transpose(-2, -1) / (d // self.heads) ** 0.5
        sparsity = scores.max(-1).values - scores.mean(-1)
        chosen = sparsity.topk(self.asked, sorted=False).indices
        some = torch.gather(scores, 2, chosen.unsqueeze(-1).expand(-1, -1, -1, t)).softmax(-1) @ v
        context = v.mean(2, keepdim=True).expand_as(v).clone()
        context.scatter_(2, chosen.unsqueeze(-1).expand(-1, -1, -1, v.size(-1)), some)
        return self.out(context.transpose(1, 2).reshape(b, t, d))


class Informer(nn.Module):
    """A series is normed by its own mean and spread, looked at, halved, and continued."""

    def __init__(self) -> None:
        super().__init__()
        self.inside = nn.Conv1d(3, 8, 3, padding=1, padding_mode="circular")
        self.attention, self.norm = ProbSparse(8, 2, 3), nn.LayerNorm(8)
        self.distil = nn.Sequential(nn.Conv1d(8, 8, 3, padding=1), nn.ELU(), nn.MaxPool1d(3, 2, 1))
        self.head = nn.Linear(8, 5 * 3)

    def forward(self, series: torch.Tensor) -> torch.Tensor:
        mean, spread = series.mean(1, keepdim=True), series.std(1, keepdim=True) + 1e-5
        x = self.inside(((series - mean) / spread).mT).mT
        x = self.norm(x + self.attention(x))
        x = self.distil(x.mT).mT
        return self.head(x[:, -1]).unflatten(-1, (5, 3)) * spread + mean


def informer() -> Job:
    return Informer(), (torch.randn(2, 12, 3),), {"series": {0: "B", 1: torch.export.Dim("T", min=4)}}


class Enhancer(nn.Module):
    """A mask over a spectrum, and back to a wave."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("window", torch.hann_window(16), persistent=False)
        self.gru, self.mask = nn.GRU(9, 8, batch_first=True), nn.Linear(8, 9)

    def forward(self, wave: torch.Tensor) -> torch.Tensor:
        spectrum = torch.stft(wave, 16, 8, window=self.window, return_complex=True)
        loud = spectrum.abs().clamp(min=1e-5).log().transpose(1, 2)
        mask = self.mask(self.gru(loud)[0]).sigmoid().transpose(1, 2)
        return torch.istft(spectrum * mask, 16, 8, window=self.window)


def enhancer() -> Job:
    return Enhancer(), (torch.randn(2, 64),), {"wave": {0: "B", 1: torch.export.Dim("T", min=16)}}
