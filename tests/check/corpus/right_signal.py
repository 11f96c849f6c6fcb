"""Sound, time series and pictures as signals, all of them right."""

import math

import torch
import torch.nn.functional as F
import torch.nn as nn
import tessera
from tessera import dims

B, C, T = dims("B C T")


def frames_right(x: tessera.Tensor["B", 1600], size: int = 400, hop: int = 160) -> tessera.Tensor["B", 8, 400]:
    return x.unfold(1, size, hop)


def frames_by_index(x: tessera.Tensor["B", "T"], size: int = 4) -> tessera.Tensor["B", "T-3", 4]:
    index = torch.arange(x.shape[1] - size + 1)[:, None] + torch.arange(size)
    return x[:, index]


def frames_padded(x: tessera.Tensor["B", "T"], size: int = 5) -> tessera.Tensor["B", "T", 5]:
    return F.pad(x[:, None], (size // 2, size // 2), mode="replicate").squeeze(1).unfold(-1, size, 1)


def windowed_right(x: tessera.Tensor["B", 1600], size: int = 400, hop: int = 160) -> tessera.Tensor["B", 8, 201]:
    return torch.fft.rfft(x.unfold(-1, size, hop) * torch.hann_window(size)).abs()


def mel_right(power: tessera.Tensor["B", 201, "T"], filters: tessera.Tensor[80, 201]) -> tessera.Tensor["B", 80, "T"]:
    return torch.log(filters @ power.abs() + 1e-6)


def spectrogram_right(x: tessera.Tensor["B", 4000]) -> tessera.Tensor["B", 257, 26]:
    s = torch.stft(x, n_fft=512, hop_length=160, window=torch.hann_window(512), return_complex=True)
    return torch.view_as_real(s).norm(dim=-1)


def pre_emphasis_right(x: tessera.Tensor[B, T], a: float = 0.97) -> tessera.Tensor[B, T]:
    return torch.cat([x[:, :1], x[:, 1:] - a * x[:, :-1]], dim=1)


class CausalConvRight(nn.Module):
    def __init__(self, channels=16, kernel=3, dilation=2):
        super().__init__()
        self.pad = (kernel - 1) * dilation
        self.conv = nn.Conv1d(channels, channels, kernel, dilation=dilation, padding=self.pad)

    def forward(self, x: tessera.Tensor["B", 16, "T"]) -> tessera.Tensor["B", 16, "T"]:
        return self.conv(x)[..., : -self.pad] if self.pad else self.conv(x)


class WaveNetRight(nn.Module):
    def __init__(self, channels=8, blocks=4):
        super().__init__()
        self.blocks = nn.ModuleList(
            [nn.Conv1d(channels, 2 * channels, 3, padding=2**i, dilation=2**i) for i in range(blocks)]
        )
        self.skips = nn.ModuleList([nn.Conv1d(channels, 12, 1) for _ in range(blocks)])

    def forward(self, x: tessera.Tensor["B", 8, "T"]) -> tessera.Tensor["B", 12, "T"]:
        total = 0
        for block, skip in zip(self.blocks, self.skips, strict=True):
            gate, value = block(x).chunk(2, 1)
            h = gate.sigmoid() * value.tanh()
            total = total + skip(h)
            x = x + h
        return total


class DownsamplerRight(nn.Module):
    def __init__(self):
        super().__init__()
        self.convs = nn.Sequential(nn.Conv1d(1, 16, 4, stride=2, padding=1), nn.ReLU(), nn.Conv1d(16, 32, 4, 2, 1))
        self.head = nn.Linear(32 * 250, 10)

    def forward(self, x: tessera.Tensor["B", 1, 1000]) -> tessera.Tensor["B", 10]:
        return self.head(self.convs(x).flatten(1))


class HalvesThenDoubles(nn.Module):
    def __init__(self):
        super().__init__()
        self.down = nn.Conv1d(4, 8, 4, stride=2, padding=1)
        self.up = nn.ConvTranspose1d(8, 4, 4, stride=2, padding=1)

    def forward(self, x: tessera.Tensor["B", 4, "2*T"]) -> tessera.Tensor["B", 4, "2*T"]:
        return x + self.up(self.down(x).relu())


def time_series_right(
    x: tessera.Tensor["B", "T", "C"], kernel: tessera.Tensor["C", 1, 5]
) -> tessera.Tensor["B", "T", "C"]:
    y = F.conv1d(x.transpose(1, 2), kernel, padding=2, groups=x.shape[-1])
    return y.transpose(1, 2)


def overlap_add_right(frames: tessera.Tensor["B", "N", 64], hop: int = 32) -> tessera.Tensor["B", "32*N+32"]:
    b, n, size = frames.shape
    out = torch.zeros(b, (n - 1) * hop + size)
    for i in range(n):
        out[:, i * hop : i * hop + size] += frames[:, i]
    return out


def autocorrelation_right(x: tessera.Tensor["B", "T"]) -> tessera.Tensor["B", "T"]:
    t = x.shape[1]
    spectrum = torch.fft.rfft(x, n=2 * t)
    return torch.fft.irfft(spectrum * spectrum.conj(), n=2 * t)[:, :t]


def convolve_right(x: tessera.Tensor["B", "T"], h: tessera.Tensor["K"]) -> tessera.Tensor["B", "T+K-1"]:
    return F.conv1d(x[:, None], h.flip(0)[None, None], padding=h.numel() - 1)[:, 0]


def convolve_fft(x: tessera.Tensor["B", "T"], h: tessera.Tensor["K"]) -> tessera.Tensor["B", "T+K-1"]:
    n = x.shape[-1] + h.shape[-1] - 1
    size = 2 ** math.ceil(math.log2(n))
    return torch.fft.irfft(torch.fft.rfft(x, size) * torch.fft.rfft(h, size), size)[..., :n]


def downmix_right(x: tessera.Tensor["B", "C", "T"], pan: tessera.Tensor["B", "C"]) -> tessera.Tensor["B", "T"]:
    return torch.einsum("bct,bc->bt", x, pan)


def decimate_right(x: tessera.Tensor["B", "3*T"]) -> tessera.Tensor["B", "T"]:
    return x.unflatten(1, (-1, 3)).mean(-1)


def every_other(x: tessera.Tensor["B", "2*T"]) -> tessera.Tensor["B", "T"]:
    return x[:, ::2] + x[:, 1::2]


def chunks_of_size(x: tessera.Tensor["B", "T", "C"], size: int = 4) -> tessera.Tensor["B", "T", "C"]:
    t = x.shape[1]
    missing = -t % size
    padded = F.pad(x, (0, 0, 0, missing))
    blocks = padded.view(x.shape[0], -1, size, x.shape[-1])
    return (blocks - blocks.mean(2, keepdim=True)).flatten(1, 2)[:, :t]


def positional_right(x: tessera.Tensor["B", "T", 16]) -> tessera.Tensor["B", "T", 16]:
    t = torch.linspace(0, 1, x.shape[1])
    return x + torch.stack([torch.sin(2 * math.pi * k * t) for k in range(16)], dim=-1)


PROGRAMS = [
    frames_right,
    frames_by_index,
    frames_padded,
    windowed_right,
    mel_right,
    spectrogram_right,
    pre_emphasis_right,
    CausalConvRight,
    WaveNetRight,
    DownsamplerRight,
    HalvesThenDoubles,
    time_series_right,
    overlap_add_right,
    autocorrelation_right,
    convolve_right,
    convolve_fft,
    downmix_right,
    decimate_right,
    every_other,
    chunks_of_size,
    positional_right,
]
