"""Pictures: what a week of vision code looks like."""

from __future__ import annotations

from typing import List

import torch
import torch.nn.functional as F
from tessera import Tensor
from torch import nn


class WrongSmallUNet(nn.Module):
    def __init__(self, widths=(16, 32)):
        super().__init__()
        a, b = widths
        self.enc1 = nn.Conv2d(3, a, 3, padding=1)
        self.enc2 = nn.Conv2d(a, b, 3, padding=1)
        self.up = nn.ConvTranspose2d(b, a, 2, stride=2)
        self.dec = nn.Conv2d(a, a, 3, padding=1)  # BUG
        self.head = nn.Conv2d(a, 1, 1)

    def forward(self, x: Tensor["B", 3, "2*H", "2*W"]) -> Tensor["B", 1, "2*H", "2*W"]:
        skip = F.relu(self.enc1(x))
        deep = F.relu(self.enc2(F.max_pool2d(skip, 2)))
        up = self.up(deep)
        h = F.relu(self.dec(torch.cat([up, skip], dim=1)))  # HURTS
        return self.head(h)


class WrongCifarNet(nn.Module):
    def __init__(self, classes=10):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 32, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(32, 64, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
        )
        self.classifier = nn.Sequential(
            nn.Linear(64 * 7 * 7, 128),  # BUG
            nn.ReLU(),
            nn.Linear(128, classes),
        )

    def forward(self, x: Tensor["B", 3, 32, 32]) -> Tensor["B", 10]:
        h = self.features(x)
        return self.classifier(h.flatten(1))  # HURTS


class WrongTokensOfPatches(nn.Module):
    def __init__(self, size=64, patch=8, dim=48):
        super().__init__()
        count = (size // patch) ** 2
        self.proj = nn.Conv2d(3, dim, patch, stride=patch)
        self.cls = nn.Parameter(torch.zeros(1, 1, dim))
        self.pos = nn.Parameter(torch.zeros(1, count, dim))  # BUG

    def forward(self, x: Tensor["B", 3, 64, 64]) -> Tensor["B", 65, 48]:
        tokens = self.proj(x).flatten(2).transpose(1, 2)
        tokens = torch.cat([self.cls.expand(len(x), -1, -1), tokens], dim=1)
        return tokens + self.pos  # HURTS


def wrong_cut_windows(x: Tensor["B", 28, 28, "C"], w: int = 7) -> Tensor["16*B", 49, "C"]:
    b, height, width, c = x.shape
    x = x.view(b, height // w, w, width // w, w, c)
    x = x.permute(0, 1, 3, 2, 4, 5)
    return x.reshape(-1, w, c)  # BUG


def wrong_follow_flow(image: Tensor["B", "C", "H", "W"], flow: Tensor["B", 2, "H", "W"]) -> Tensor["B", "C", "H", "W"]:
    _, _, h, w = image.shape
    ys, xs = torch.meshgrid(torch.linspace(-1, 1, h), torch.linspace(-1, 1, w), indexing="ij")
    base = torch.stack([xs, ys], dim=-1)
    grid = base + flow  # BUG
    return F.grid_sample(image, grid, align_corners=True)


class WrongThreeScales(nn.Module):
    def __init__(self, widths=(64, 128, 256), out=96):
        super().__init__()
        self.lateral = nn.ModuleList([nn.Conv2d(c, out // 2, 1) for c in widths])  # BUG
        self.smooth = nn.ModuleList([nn.Conv2d(out, out, 3, padding=1) for _ in widths])

    def forward(
        self, c3: Tensor["B", 64, "4*H", "4*W"], c4: Tensor["B", 128, "2*H", "2*W"], c5: Tensor["B", 256, "H", "W"]
    ) -> tuple[Tensor["B", 96, "4*H", "4*W"], Tensor["B", 96, "2*H", "2*W"], Tensor["B", 96, "H", "W"]]:
        maps = [conv(c) for conv, c in zip(self.lateral, (c3, c4, c5))]
        for i in range(len(maps) - 1, 0, -1):
            maps[i - 1] = maps[i - 1] + F.interpolate(maps[i], scale_factor=2, mode="nearest")
        p3, p4, p5 = [conv(m) for conv, m in zip(self.smooth, maps)]  # HURTS
        return p3, p4, p5


class WrongDepthThenPoint(nn.Module):
    def __init__(self, channels=24):
        super().__init__()
        self.depth = nn.Conv2d(channels, channels, 5, padding=2, groups=channels, bias=False)
        self.point = nn.Conv2d(channels, 2 * channels, 1, bias=False)
        self.norm = nn.BatchNorm2d(channels)  # BUG

    def forward(self, x: Tensor["B", 24, "H", "W"]) -> Tensor["B", 48, "H", "W"]:
        return F.silu(self.norm(self.point(self.depth(x))))  # HURTS


def wrong_pool_by_mask(
    features: Tensor["B", "C", "H", "W"], masks: Tensor["B", "N", "H", "W"]
) -> Tensor["B", "N", "C"]:
    masks = masks.sigmoid()
    summed = torch.einsum("bchw,bnhw->bnc", features, masks)
    area = masks.sum(dim=(-2, -1))
    return summed / area.clamp(min=1e-6)  # BUG


class WrongUpscaler(nn.Module):
    def __init__(self, scale=2, width=32):
        super().__init__()
        self.scale = scale
        self.body = nn.Conv2d(3, width, 5, padding=2)
        self.tail = nn.Conv2d(width, 3 * scale, 3, padding=1)  # BUG

    def forward(self, x: Tensor["B", 3, "H", "W"]) -> Tensor["B", 3, "2*H", "2*W"]:
        h = torch.tanh(self.body(x))
        y = F.pixel_shuffle(self.tail(h), self.scale)  # HURTS
        return y + F.interpolate(x, scale_factor=self.scale, mode="bilinear")


class WrongChannelGate(nn.Module):
    def __init__(self, channels=32, squeeze=4):
        super().__init__()
        self.fc1 = nn.Linear(channels, channels // squeeze)
        self.fc2 = nn.Linear(channels // squeeze, channels)

    def forward(self, x: Tensor["B", 32, "H", "W"]) -> Tensor["B", 32, "H", "W"]:
        s = x.mean(dim=(2, 3))
        s = torch.sigmoid(self.fc2(F.relu(self.fc1(s))))
        return x * s  # BUG


PROGRAMS = [
    WrongSmallUNet,
    WrongCifarNet,
    WrongTokensOfPatches,
    wrong_cut_windows,
    wrong_follow_flow,
    WrongThreeScales,
    WrongDepthThenPoint,
    wrong_pool_by_mask,
    WrongUpscaler,
    WrongChannelGate,
]

SIZES = {}
