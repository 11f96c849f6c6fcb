"""Pictures from above: bands, radar, clouds, tiles, each with one line wrong."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import nn

import tessera as ts
from tessera import Tensor

B, H, W, T, P, K = ts.dims("B H W T P K")

BANDS, CLASSES = 13, 10


def wrong_vegetation_index(image: Tensor[B, 13, H, W]) -> Tensor[B, 1, H, W]:
    near, red = image[:, 7], image[:, 3]  # BUG
    return (near - red) / (near + red + 1e-6)


class WrongSpectralAttention(nn.Module):
    """Weighs the bands of a picture."""

    def __init__(self, bands=BANDS, squeeze=4):
        super().__init__()
        self.mlp = nn.Sequential(nn.Linear(bands, bands * squeeze), nn.ReLU(), nn.Linear(bands * squeeze, bands))

    def forward(self, x: Tensor[B, 13, H, W]) -> Tensor[B, 13, H, W]:
        mean = x.mean(dim=(2, 3))
        peak = x.amax(dim=(2, 3))
        weight = torch.sigmoid(self.mlp(mean) + self.mlp(peak))
        return x * weight[:, None, None]  # BUG


class WrongCloudSegmenter(nn.Module):
    def __init__(self, width=24):
        super().__init__()
        self.enter = nn.Conv2d(BANDS, width, 3, padding=1)
        self.down = nn.Conv2d(width, 2 * width, 3, stride=2, padding=1)
        self.up = nn.ConvTranspose2d(2 * width, width, 2, stride=2)
        self.merge = nn.Conv2d(width, width, 3, padding=1)  # BUG
        self.out = nn.Conv2d(width, 1, 1)

    def forward(self, scene: Float[torch.Tensor, "b 13 256 256"]) -> Float[torch.Tensor, "b 1 256 256"]:
        fine = F.relu(self.enter(scene))
        coarse = F.relu(self.down(fine))
        coarse = self.up(coarse)
        x = F.relu(self.merge(torch.cat([fine, coarse], dim=1)))  # HURTS
        return self.out(x)


def wrong_speckle_variance(stack: Tensor["T", "H", "W"], window: int = 7) -> Tensor["T", "H", "W"]:
    """How noisy the radar is around each pixel."""
    pad = window // 2
    x = stack.unsqueeze(1)
    mean = F.avg_pool2d(x, window, stride=1, padding=pad)
    square = F.avg_pool2d(x * x, window, stride=1)  # BUG
    return (square - mean**2).squeeze(1)  # HURTS


@dataclass
class Series:
    images: Tensor["B", "T", 10]
    days: Tensor["B", "T", torch.int64]


class WrongCropClassifier(nn.Module):
    """A transformer over the days of a year, pooled over time."""

    def __init__(self, width=64, heads=4, classes=CLASSES):
        super().__init__()
        self.enter = nn.Linear(10, width)
        self.calendar = nn.Embedding(366, width)
        layer = nn.TransformerEncoderLayer(width, heads, 128, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2)
        self.head = nn.Linear(width, classes)

    def forward(self, series: Series) -> Tensor["B", 10]:
        x = self.enter(series.images) + self.calendar(series.days)
        x = self.encoder(x)
        return self.head(x.mean(dim=-1))  # BUG


class WrongTileEncoder(nn.Module):
    """Cuts a picture into tiles and makes one token of each."""

    def __init__(self, tile=16, width=96, size=128):
        super().__init__()
        self.tile = tile
        self.project = nn.Linear(BANDS * tile, width)  # BUG
        self.place = nn.Parameter(torch.zeros(1, (size // tile) ** 2, width))

    def forward(self, x: Tensor[B, 13, 128, 128]) -> Tensor[B, 64, 96]:
        tiles = F.unfold(x, self.tile, stride=self.tile)
        tokens = self.project(tiles.transpose(1, 2))  # HURTS
        return tokens + self.place


def wrong_brightness_temperature(radiance: Tensor[B, 2, H, W], k1: Tensor[2], k2: Tensor[2]) -> Tensor[B, 2, H, W]:
    k1 = k1.view(2, 1, 1)
    k2 = k2.view(1, 2, 1)  # BUG
    return k2 / torch.log1p(k1 / radiance)  # HURTS


class WrongChangeDetector(nn.Module):
    """The same encoder sees both dates; what differs is looked at."""

    def __init__(self, width=32):
        super().__init__()
        self.encode = nn.Sequential(
            nn.Conv2d(4, width, 3, padding=1),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.Conv2d(width, width, 3, padding=1),
        )
        self.decide = nn.Conv2d(width * 3, 2, 1)

    def forward(self, before: Tensor[B, 4, H, W], after: Tensor[B, 4, H, W]) -> Tensor[B, 2, H, W]:
        a, b = self.encode(before), self.encode(after)
        both = torch.stack([a, b, (a - b).abs()], dim=1)  # BUG
        return self.decide(both)  # HURTS


def wrong_mosaic(tiles: Tensor[24, 3, 64, 64], rows: int = 4, columns: int = 6) -> Tensor[3, 256, 384]:
    grid = tiles.reshape(rows, columns, 3, 64, 64).permute(2, 0, 3, 1, 4)
    return grid.reshape(3, columns * 64, rows * 64)  # BUG


class WrongPansharpen(nn.Module):
    """Coarse colours, fine grey."""

    def __init__(self, bands=4, width=48):
        super().__init__()
        self.enter = nn.Conv2d(bands + 1, width, 3, padding=1)
        self.net = nn.Sequential(self.enter, nn.ReLU(), nn.Conv2d(width, bands, 3))  # BUG

    def forward(self, colour: Tensor[B, 4, 64, 64], grey: Tensor[B, 1, 256, 256]) -> Tensor[B, 4, 256, 256]:
        large = F.interpolate(colour, scale_factor=4, mode="bilinear")
        detail = self.net(torch.cat([large, grey], dim=1))
        return large + detail  # HURTS


PROGRAMS = [
    wrong_vegetation_index,
    WrongSpectralAttention,
    WrongCloudSegmenter,
    wrong_speckle_variance,
    WrongCropClassifier,
    WrongTileEncoder,
    wrong_brightness_temperature,
    WrongChangeDetector,
    wrong_mosaic,
    WrongPansharpen,
]
