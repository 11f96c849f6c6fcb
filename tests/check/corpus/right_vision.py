"""Vision: patches, pyramids, U-Nets, detection heads, augmentations."""

import math
from dataclasses import dataclass
from typing import Optional

import torch
import torch.nn as nn
import torch.nn.functional as F
from tessera import Tensor


class PatchTokens(nn.Module):
    def __init__(self, patch=16, dim=192, image=224):
        super().__init__()
        self.proj = nn.Conv2d(3, dim, kernel_size=patch, stride=patch)
        self.cls = nn.Parameter(torch.zeros(1, 1, dim))
        self.pos = nn.Parameter(torch.zeros(1, (image // patch) ** 2 + 1, dim))

    def forward(self, images: Tensor["B", 3, 224, 224]) -> Tensor["B", 197, 192]:
        x = self.proj(images).flatten(2).transpose(1, 2)
        cls = self.cls.expand(x.shape[0], -1, -1)
        return torch.cat([cls, x], dim=1) + self.pos


class TinyUNetAgain(nn.Module):
    def __init__(self, base=16):
        super().__init__()
        self.down1 = nn.Conv2d(3, base, 3, padding=1)
        self.down2 = nn.Conv2d(base, base * 2, 3, padding=1)
        self.middle = nn.Conv2d(base * 2, base * 4, 3, padding=1)
        self.up2 = nn.ConvTranspose2d(base * 4, base * 2, 2, stride=2)
        self.dec2 = nn.Conv2d(base * 4, base * 2, 3, padding=1)
        self.up1 = nn.ConvTranspose2d(base * 2, base, 2, stride=2)
        self.dec1 = nn.Conv2d(base * 2, base, 3, padding=1)
        self.head = nn.Conv2d(base, 1, 1)

    def forward(self, x: Tensor["B", 3, 64, 64]) -> Tensor["B", 1, 64, 64]:
        a = F.relu(self.down1(x))
        b = F.relu(self.down2(F.max_pool2d(a, 2)))
        m = F.relu(self.middle(F.max_pool2d(b, 2)))
        y = F.relu(self.dec2(torch.cat([self.up2(m), b], dim=1)))
        y = F.relu(self.dec1(torch.cat([self.up1(y), a], dim=1)))
        return self.head(y)


class LoopUNet(nn.Module):
    def __init__(self, widths=(16, 32, 64)):
        super().__init__()
        self.downs = nn.ModuleList()
        previous = 3
        for width in widths:
            self.downs.append(nn.Conv2d(previous, width, 3, padding=1))
            previous = width
        self.ups = nn.ModuleList()
        for width in reversed(widths[:-1]):
            self.ups.append(nn.Conv2d(previous + width, width, 3, padding=1))
            previous = width
        self.out = nn.Conv2d(previous, 2, 1)

    def forward(self, x: Tensor["N", 3, 32, 32]) -> Tensor["N", 2, 32, 32]:
        skips = []
        for i, down in enumerate(self.downs):
            x = F.relu(down(x))
            skips.append(x)
            if i < len(self.downs) - 1:
                x = F.max_pool2d(x, 2)
        skips.pop()
        for up in self.ups:
            x = F.interpolate(x, scale_factor=2)
            x = F.relu(up(torch.cat([x, skips.pop()], dim=1)))
        return self.out(x)


class SqueezeExciteAgain(nn.Module):
    def __init__(self, channels: int = 64, reduction: int = 8):
        super().__init__()
        self.squeeze = nn.Linear(channels, channels // reduction)
        self.excite = nn.Linear(channels // reduction, channels)

    def forward(self, x: Tensor["B", 64, "H", "W"]) -> Tensor["B", 64, "H", "W"]:
        s = x.mean(dim=(2, 3))
        s = torch.sigmoid(self.excite(F.relu(self.squeeze(s))))
        return x * s[:, :, None, None]


class BottleneckAgain(nn.Module):
    def __init__(self, inplanes=64, planes=16):
        super().__init__()
        self.conv1 = nn.Conv2d(inplanes, planes, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(planes)
        self.conv2 = nn.Conv2d(planes, planes, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(planes)
        self.conv3 = nn.Conv2d(planes, planes * 4, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(planes * 4)

    def forward(self, x: Tensor["B", 64, "H", "W"]) -> Tensor["B", 64, "H", "W"]:
        out = F.relu(self.bn1(self.conv1(x)))
        out = F.relu(self.bn2(self.conv2(out)))
        out = self.bn3(self.conv3(out))
        return F.relu(out + x)


def gram_matrix(features: Tensor["B", "C", "H", "W"]) -> Tensor["B", "C", "C"]:
    b, c, h, w = features.shape
    flat = features.reshape(b, c, h * w)
    gram = torch.bmm(flat, flat.transpose(1, 2))
    return gram / (c * h * w)


def normalize_images(images: Tensor["B", 3, "H", "W"], mean: Tensor[3], std: Tensor[3]) -> Tensor["B", 3, "H", "W"]:
    mean = mean.view(1, 3, 1, 1)
    std = std.view(1, 3, 1, 1)
    return (images - mean) / std


def pixel_shuffle_by_hand(x: Tensor["B", "4*C", "H", "W"], r: int = 2) -> Tensor["B", "C", "2*H", "2*W"]:
    b, c, h, w = x.shape
    x = x.view(b, c // (r * r), r, r, h, w)
    x = x.permute(0, 1, 4, 2, 5, 3)
    return x.reshape(b, c // (r * r), h * r, w * r)


def box_iou_again(a: Tensor["N", 4], b: Tensor["M", 4]) -> Tensor["N", "M"]:
    area_a = (a[:, 2] - a[:, 0]) * (a[:, 3] - a[:, 1])
    area_b = (b[:, 2] - b[:, 0]) * (b[:, 3] - b[:, 1])
    top_left = torch.max(a[:, None, :2], b[:, :2])
    bottom_right = torch.min(a[:, None, 2:], b[:, 2:])
    wh = (bottom_right - top_left).clamp(min=0)
    inter = wh[..., 0] * wh[..., 1]
    return inter / (area_a[:, None] + area_b - inter)


@dataclass
class Detections:
    boxes: Tensor["B", "N", 4]
    scores: Tensor["B", "N", 20]


class DenseHead(nn.Module):
    def __init__(self, channels=128, anchors=3, classes=20):
        super().__init__()
        self.anchors, self.classes = anchors, classes
        self.cls = nn.Conv2d(channels, anchors * classes, 3, padding=1)
        self.box = nn.Conv2d(channels, anchors * 4, 3, padding=1)

    def forward(self, x: Tensor["B", 128, "H", "W"]) -> tuple[Tensor["B", "3*H*W", 20], Tensor["B", "3*H*W", 4]]:
        b, _, h, w = x.shape
        cls = self.cls(x).view(b, self.anchors, self.classes, h, w).permute(0, 3, 4, 1, 2)
        box = self.box(x).view(b, self.anchors, 4, h, w).permute(0, 3, 4, 1, 2)
        return cls.reshape(b, -1, self.classes), box.reshape(b, -1, 4)


def decode_centers(heat: Tensor["B", "K", "H", "W"], offset: Tensor["B", 2, "H", "W"]) -> Tensor["B", "K", 2]:
    b, k, h, w = heat.shape
    best = heat.flatten(2).argmax(-1)
    flat = offset.flatten(2)
    picked = flat.gather(2, best[:, None, :].expand(-1, 2, -1))
    xy = torch.stack([best % w, best // w], dim=-1)
    return xy + picked.transpose(1, 2)


PROGRAMS = [
    PatchTokens,
    TinyUNetAgain,
    LoopUNet,
    SqueezeExciteAgain,
    BottleneckAgain,
    gram_matrix,
    normalize_images,
    pixel_shuffle_by_hand,
    box_iou_again,
    DenseHead,
    decode_centers,
]

SIZES = {}
