"""Pictures, volumes and detection."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import nn

import tessera as ts
from tessera import Tensor

B, C, H, W, K = ts.dims("B C H W K")


class ConvNormAct(nn.Sequential):
    def __init__(self, cin, cout, kernel=3, stride=1):
        super().__init__(
            nn.Conv2d(cin, cout, kernel, stride, kernel // 2, bias=False),
            nn.GroupNorm(8, cout),
            nn.SiLU(),
        )


class StemAndStages(nn.Module):
    def __init__(self, widths=(32, 64, 128), classes=7):
        super().__init__()
        self.stem = ConvNormAct(3, widths[0], 7, 2)
        stages = []
        for cin, cout in zip(widths, widths[1:]):
            stages.append(nn.Sequential(ConvNormAct(cin, cout, stride=2), ConvNormAct(cout, cout)))
        self.stages = nn.Sequential(*stages)
        self.head = nn.Linear(widths[-1], classes)

    def forward(self, image: Tensor[B, 3, 64, 64]) -> Tensor[B, 7]:
        x = self.stages(self.stem(image))
        return self.head(x.mean(dim=(-2, -1)))


class VolumeEncoder(nn.Module):
    """CT volumes, one channel."""

    def __init__(self, latent=48):
        super().__init__()
        self.conv1 = nn.Conv3d(1, 8, 3, padding=1)
        self.conv2 = nn.Conv3d(8, 16, 3, padding=1)
        self.pool = nn.MaxPool3d(2)
        self.to_latent = nn.Linear(16 * 4 * 8 * 8, latent)

    def forward(self, scan: Tensor["B", 1, 16, 32, 32]) -> Tensor["B", 48]:
        x = self.pool(F.relu(self.conv1(scan)))
        x = self.pool(F.relu(self.conv2(x)))
        return self.to_latent(x.flatten(start_dim=1))


def bilinear_crop(
    images: Float[torch.Tensor, "b c h w"], centres: Float[torch.Tensor, "b 2"], size: int = 24
) -> Float[torch.Tensor, "b c 24 24"]:
    axis = torch.linspace(-0.5, 0.5, size)
    ys, xs = torch.meshgrid(axis, axis, indexing="ij")
    grid = torch.stack([xs, ys], dim=-1)
    grid = grid[None] + centres[:, None, None, :]
    return F.grid_sample(images, grid, align_corners=False)


@dataclass
class Targets:
    boxes: Tensor["B", "N", 4]
    labels: Tensor["B", "N", torch.int64]
    valid: Tensor["B", "N"]


def detection_loss(logits: Tensor["B", "N", 20], boxes: Tensor["B", "N", 4], targets: Targets) -> Tensor["B"]:
    label_cost = F.cross_entropy(logits.transpose(1, 2), targets.labels, reduction="none")
    box_cost = (boxes - targets.boxes).abs().sum(dim=-1)
    cost = (label_cost + box_cost) * targets.valid
    return cost.sum(dim=1) / targets.valid.sum(dim=1).clamp(min=1.0)


class SpatialPyramidPooling(nn.Module):
    def __init__(self, channels=64, levels=(1, 2, 4), out=100):
        super().__init__()
        self.levels = levels
        self.fc = nn.Linear(channels * sum(n * n for n in levels), out)

    def forward(self, x: Tensor["B", 64, "H", "W"]) -> Tensor["B", 100]:
        pooled = [F.adaptive_max_pool2d(x, n).flatten(1) for n in self.levels]
        return self.fc(torch.cat(pooled, dim=1))


class PixelDecoder(nn.Module):
    def __init__(self, dim=96, scale=4):
        super().__init__()
        self.mix = nn.Conv2d(dim, dim, 3, padding=1)
        self.to_pixels = nn.Conv2d(dim, 3 * scale**2, 1)
        self.shuffle = nn.PixelShuffle(scale)

    def forward(self, x: Tensor[B, 96, H, W]) -> Tensor[B, 3, 4 * H, 4 * W]:
        return self.shuffle(self.to_pixels(F.gelu(self.mix(x))))


def prototype_masks(
    coefficients: Float[torch.Tensor, "b n k"], prototypes: Float[torch.Tensor, "b k h w"]
) -> Float[torch.Tensor, "b n h w"]:
    masks = torch.einsum("bnk,bkhw->bnhw", coefficients, prototypes)
    return masks.sigmoid()


class DeformableOffsets(nn.Module):
    def __init__(self, channels=32, kernel=3):
        super().__init__()
        self.kernel = kernel
        self.offset = nn.Conv2d(channels, 2 * kernel * kernel, 3, padding=1)
        self.weight = nn.Conv2d(channels, kernel * kernel, 3, padding=1)

    def forward(self, x: Tensor["B", 32, "H", "W"]) -> tuple[Tensor["B", 9, 2, "H", "W"], Tensor["B", 9, "H", "W"]]:
        b, _, h, w = x.shape
        offset = self.offset(x).reshape(b, self.kernel**2, 2, h, w)
        weight = self.weight(x).sigmoid()
        return offset, weight


class TwoFrames(nn.Module):
    def __init__(self, width=24):
        super().__init__()
        self.shared = nn.Conv2d(3, width, 5, stride=2, padding=2)
        self.merge = nn.Conv2d(2 * width, width, 3, padding=1)
        self.flow = nn.Conv2d(width, 2, 3, padding=1)

    def forward(self, first: Tensor["B", 3, 48, 64], second: Tensor["B", 3, 48, 64]) -> Tensor["B", 2, 48, 64]:
        both = torch.cat([self.shared(first), self.shared(second)], dim=1)
        flow = self.flow(F.leaky_relu(self.merge(F.leaky_relu(both)), 0.1))
        return F.interpolate(flow, size=(48, 64), mode="bilinear", align_corners=False)


def keypoint_targets(points: Tensor["B", "K", 2], height: int = 32, width: int = 40) -> Tensor["B", "K", 32, 40]:
    ys = torch.arange(height, dtype=torch.float32)
    xs = torch.arange(width, dtype=torch.float32)
    dy = ys[None, None, :] - points[:, :, 1:]
    dx = xs[None, None, :] - points[:, :, :1]
    return torch.exp(-0.5 * (dy[:, :, :, None] ** 2 + dx[:, :, None, :] ** 2))


PROGRAMS = [
    StemAndStages,
    VolumeEncoder,
    bilinear_crop,
    detection_loss,
    SpatialPyramidPooling,
    PixelDecoder,
    prototype_masks,
    DeformableOffsets,
    TwoFrames,
    keypoint_targets,
]
SIZES = {}
