"""Sound, time series and pictures as signals, each with one bug of shape."""

import math

import torch
import torch.nn.functional as F
import torch.nn as nn
import tessera
from tessera import dims

B, C, T = dims("B C T")


def frames(x: tessera.Tensor["B", 1600], size: int = 400, hop: int = 160) -> tessera.Tensor["B", 8, 400]:
    return x.unfold(1, hop, size)  # BUG


def windowed(x: tessera.Tensor["B", 1600], size: int = 400, hop: int = 160) -> tessera.Tensor["B", 8, 201]:
    cut = x.unfold(-1, size, hop)
    window = torch.hann_window(hop)  # BUG
    return torch.fft.rfft(cut * window).abs()  # HURTS


def mel(power: tessera.Tensor["B", 201, "T"], filters: tessera.Tensor[80, 201]) -> tessera.Tensor["B", 80, "T"]:
    return torch.log(power @ filters.T + 1e-6)  # BUG


def spectrogram(x: tessera.Tensor["B", 4000]) -> tessera.Tensor["B", 257, 26]:
    s = torch.stft(x, n_fft=512, hop_length=160, window=torch.hann_window(512), return_complex=True)
    return torch.view_as_real(s)  # BUG


def pre_emphasis(x: tessera.Tensor[B, T], a: float = 0.97) -> tessera.Tensor[B, T]:
    return x[:, 1:] - a * x[:, :-1]  # BUG


class CausalConv(nn.Module):
    def __init__(self, channels=16, kernel=3, dilation=2):
        super().__init__()
        self.pad = (kernel - 1) * dilation
        self.conv = nn.Conv1d(channels, channels, kernel)  # BUG

    def forward(self, x: tessera.Tensor["B", 16, "T"]) -> tessera.Tensor["B", 16, "T"]:
        return self.conv(F.pad(x, (self.pad, 0)))


class WaveBlock(nn.Module):
    def __init__(self, channels=32, dilation=4):
        super().__init__()
        self.conv = nn.Conv1d(channels, 2 * channels, 3, padding=dilation, dilation=dilation)
        self.skip = nn.Conv1d(channels, channels, 1)

    def forward(self, x: tessera.Tensor[B, 32, T]) -> tessera.Tensor[B, 32, T]:
        a, b = self.conv(x).chunk(2, dim=1)
        h = torch.tanh(a) * torch.sigmoid(b)
        return x + self.skip(h.transpose(1, 2))  # BUG


class WaveNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.blocks = nn.ModuleList(
            [nn.Conv1d(8, 8, 3, padding=2**i, dilation=2**i if i != 2 else 2) for i in range(4)]  # BUG
        )

    def forward(self, x: tessera.Tensor["B", 8, "T"]) -> tessera.Tensor["B", 8, "T"]:
        for block in self.blocks:
            x = x + block(x).relu()  # HURTS
        return x


class Downsampler(nn.Module):
    def __init__(self):
        super().__init__()
        self.convs = nn.Sequential(nn.Conv1d(1, 16, 4, stride=2, padding=1), nn.ReLU(), nn.Conv1d(16, 32, 4, 2))  # BUG
        self.head = nn.Linear(32 * 250, 10)

    def forward(self, x: tessera.Tensor["B", 1, 1000]) -> tessera.Tensor["B", 10]:
        return self.head(self.convs(x).flatten(1))  # HURTS


def time_series(x: tessera.Tensor["B", "T", "C"], kernel: tessera.Tensor["C", 1, 5]) -> tessera.Tensor["B", "T", "C"]:
    y = F.conv1d(x, kernel, padding=2, groups=kernel.shape[0])  # BUG
    return y.transpose(1, 2)


def overlap_add(frames: tessera.Tensor["B", "N", 64], hop: int = 32) -> tessera.Tensor["B", "32*N+32"]:
    b, n, size = frames.shape
    length = (n - 1) * hop + size
    out = F.fold(frames, (1, length), (1, size), stride=(1, hop))  # BUG
    return out.flatten(1)


def autocorrelation(x: tessera.Tensor["B", "T"]) -> tessera.Tensor["B", "T"]:
    spectrum = torch.fft.rfft(x, n=2 * x.shape[1])
    return torch.fft.irfft(spectrum.abs().square())  # BUG


def convolve(x: tessera.Tensor["B", "T"], h: tessera.Tensor["K"]) -> tessera.Tensor["B", "T+K-1"]:
    n = x.shape[-1] + h.shape[-1] - 1
    product = torch.fft.rfft(x, n) * torch.fft.rfft(h)  # BUG
    return torch.fft.irfft(product, n)


def downmix(x: tessera.Tensor["B", 2, "T"], pan: tessera.Tensor["B", 2]) -> tessera.Tensor["B", "T"]:
    return torch.einsum("bct,bc->bc", x, pan)  # BUG


def decimate(x: tessera.Tensor["B", "3*T"]) -> tessera.Tensor["B", "T"]:
    return x.view(x.shape[0], 3, -1).mean(-1)  # BUG


def positional(x: tessera.Tensor["B", "T", 16]) -> tessera.Tensor["B", "T", 16]:
    t = torch.arange(x.shape[1]) / x.shape[1]
    waves = torch.stack([torch.sin(2 * math.pi * k * t) for k in range(16)])  # BUG
    return x + waves  # HURTS


PROGRAMS = [
    frames,
    windowed,
    mel,
    spectrogram,
    pre_emphasis,
    CausalConv,
    WaveBlock,
    WaveNet,
    Downsampler,
    time_series,
    overlap_add,
    autocorrelation,
    convolve,
    downmix,
    decimate,
    positional,
]
SIZES = {"WaveBlock": {"T": (21, 13, 40)}, "convolve": {"K": (3, 5, 4), "T": (20, 31, 17)}}
