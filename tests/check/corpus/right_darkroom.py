"""Pictures that are made, cut, found and measured."""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn import functional as F

import tessera as ts
from tessera import Tensor


def time_features(t: Tensor["B"], size: int = 128) -> Tensor["B", 128]:
    half = size // 2
    frequency = torch.exp(-math.log(10000) * torch.arange(half) / half)
    angle = t[:, None] * frequency[None]
    return torch.cat([angle.sin(), angle.cos()], dim=-1)


class DenoisingBlockAgain(nn.Module):
    """Two convolutions, told the time."""

    def __init__(self, enter: int = 64, leave: int = 128, time: int = 256):
        super().__init__()
        self.norm1 = nn.GroupNorm(8, enter)
        self.conv1 = nn.Conv2d(enter, leave, 3, padding=1)
        self.of_time = nn.Linear(time, 2 * leave)
        self.norm2 = nn.GroupNorm(8, leave)
        self.conv2 = nn.Conv2d(leave, leave, 3, padding=1)
        self.skip = nn.Conv2d(enter, leave, 1) if enter != leave else nn.Identity()

    def forward(self, x: Tensor["B", 64, "H", "W"], time: Tensor["B", 256]) -> Tensor["B", 128, "H", "W"]:
        h = self.conv1(F.silu(self.norm1(x)))
        scale, shift = self.of_time(F.silu(time))[:, :, None, None].chunk(2, dim=1)
        h = self.norm2(h) * (1 + scale) + shift
        return self.skip(x) + self.conv2(F.silu(h))


class CutIntoPatches(nn.Module):
    def __init__(self, patch=16, width=384):
        super().__init__()
        self.patch = patch
        self.project = nn.Linear(3 * patch * patch, width)
        self.place = nn.Parameter(torch.zeros(196, width))

    def forward(self, image: Tensor["B", 3, 224, 224]) -> Tensor["B", 196, 384]:
        b, c, h, w = image.shape
        p = self.patch
        x = image.view(b, c, h // p, p, w // p, p)
        x = x.permute(0, 2, 4, 1, 3, 5)
        x = x.flatten(1, 2).flatten(2)
        return self.project(x) + self.place


def to_windows(x, size):
    b, h, w, c = x.shape
    x = x.view(b, h // size, size, w // size, size, c)
    return x.transpose(2, 3).reshape(-1, size * size, c)


def from_windows(windows, size, h, w):
    b = windows.shape[0] // ((h // size) * (w // size))
    x = windows.view(b, h // size, w // size, size, size, -1)
    return x.transpose(2, 3).reshape(b, h, w, -1)


class WindowedMixer(nn.Module):
    """Mixes what is in one window."""

    def __init__(self, width=96, size=7):
        super().__init__()
        self.size = size
        self.norm = nn.LayerNorm(width)
        self.attention = nn.MultiheadAttention(width, 3, batch_first=True)

    def forward(self, x: Tensor["B", 56, 56, 96]) -> Tensor["B", 56, 56, 96]:
        _, h, w, _ = x.shape
        y = to_windows(self.norm(x), self.size)
        y, _ = self.attention(y, y, y, need_weights=False)
        return x + from_windows(y, self.size, h, w)


class SmallUNetAgain(nn.Module):
    def __init__(self, width=16):
        super().__init__()
        self.d1 = nn.Conv2d(1, width, 3, padding=1)
        self.d2 = nn.Conv2d(width, 2 * width, 3, padding=1)
        self.d3 = nn.Conv2d(2 * width, 4 * width, 3, padding=1)
        self.u2 = nn.Conv2d(6 * width, 2 * width, 3, padding=1)
        self.u1 = nn.Conv2d(3 * width, width, 3, padding=1)
        self.out = nn.Conv2d(width, 1, 1)
        self.pool = nn.MaxPool2d(2)
        self.up = nn.Upsample(scale_factor=2)

    def forward(self, scan: Tensor["B", 1, 128, 128]) -> Tensor["B", 1, 128, 128]:
        a = F.relu(self.d1(scan))
        b = F.relu(self.d2(self.pool(a)))
        c = F.relu(self.d3(self.pool(b)))
        x = F.relu(self.u2(torch.cat([self.up(c), b], dim=1)))
        x = F.relu(self.u1(torch.cat([self.up(x), a], dim=1)))
        return self.out(x)


class Sampler(nn.Module):
    """One step from noise to picture."""

    def __init__(self, steps: int = 1000):
        super().__init__()
        beta = torch.linspace(1e-4, 0.02, steps)
        self.register_buffer("kept", torch.cumprod(1 - beta, dim=0))

    def at(self, t):
        return self.kept[t].view(-1, 1, 1, 1)

    def forward(
        self,
        x: Tensor["B", "C", "H", "W"],
        noise: Tensor["B", "C", "H", "W"],
        t: Tensor["B", torch.int64],
        before: Tensor["B", torch.int64],
    ) -> Tensor["B", "C", "H", "W"]:
        now, then = self.at(t), self.at(before)
        clean = (x - (1 - now).sqrt() * noise) / now.sqrt()
        return then.sqrt() * clean + (1 - then).sqrt() * noise


def overlap(boxes: Tensor["N", 4], others: Tensor["M", 4]) -> Tensor["N", "M"]:
    def area(b):
        return (b[:, 2] - b[:, 0]) * (b[:, 3] - b[:, 1])

    low = torch.maximum(boxes[:, None, :2], others[None, :, :2])
    high = torch.minimum(boxes[:, None, 2:], others[None, :, 2:])
    side = (high - low).clamp(min=0)
    both = side[..., 0] * side[..., 1]
    return both / (area(boxes)[:, None] + area(others)[None] - both)


class RadianceField(nn.Module):
    """Colour and density at points on rays."""

    def __init__(self, octaves: int = 10, width: int = 128):
        super().__init__()
        self.octaves = octaves
        self.body = nn.Sequential(
            nn.Linear(3 + 6 * octaves, width),
            nn.ReLU(),
            nn.Linear(width, width),
            nn.ReLU(),
        )
        self.out = nn.Linear(width, 4)

    def encoded(self, x):
        scaled = x[..., None] * 2.0 ** torch.arange(self.octaves)
        waves = torch.cat([scaled.sin(), scaled.cos()], dim=-1)
        return torch.cat([x, waves.flatten(-2)], dim=-1)

    def forward(
        self, points: Tensor["rays", "samples", 3]
    ) -> tuple[Tensor["rays", "samples", 3], Tensor["rays", "samples"]]:
        out = self.out(self.body(self.encoded(points)))
        return out[..., :3].sigmoid(), F.softplus(out[..., 3])


def lifted(depth: Tensor["B", "H", "W"], camera: Tensor["B", 3, 3]) -> Tensor["B", "H * W", 3]:
    """Every pixel as a point in space."""
    b, h, w = depth.shape
    v, u = torch.meshgrid(torch.arange(h), torch.arange(w), indexing="ij")
    pixels = torch.stack([u, v, torch.ones_like(u)], dim=0).reshape(3, -1).float()
    rays = torch.linalg.inv(camera) @ pixels
    points = rays * depth.view(b, 1, -1)
    return points.transpose(1, 2)


def dice_loss_again(logits: Tensor["B", 5, "H", "W"], labels: Tensor["B", "H", "W", torch.int64]) -> Tensor["B"]:
    p = logits.softmax(dim=1)
    y = F.one_hot(labels, 5).permute(0, 3, 1, 2).float()
    both = (p * y).sum(dim=(2, 3))
    total = p.sum(dim=(2, 3)) + y.sum(dim=(2, 3))
    return 1 - ((2 * both + 1) / (total + 1)).mean(dim=1)


PROGRAMS = [
    time_features,
    DenoisingBlockAgain,
    CutIntoPatches,
    WindowedMixer,
    SmallUNetAgain,
    Sampler,
    overlap,
    RadianceField,
    lifted,
    dice_loss_again,
]
