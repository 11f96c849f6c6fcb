"""Convolutional nets, residual nets and U-Nets, all of them right."""

import torch
import torch.nn.functional as F
from tessera import Tensor, dims
from torch import nn
from torch.utils.checkpoint import checkpoint

B, C, H, W = dims("B C H W")
Picture = Tensor["B", 3, 32, 32]


class LeNetRight(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 6, 5, padding=2)
        self.conv2 = nn.Conv2d(6, 16, 5)
        self.fc1 = nn.Linear(16 * 5 * 5, 120)
        self.fc2 = nn.Linear(120, 10)

    def forward(self, x: Tensor["B", 1, 28, 28]) -> Tensor["B", 10]:
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)
        x = F.max_pool2d(F.relu(self.conv2(x)), (2, 2))
        x = F.relu(self.fc1(x.view(-1, 16 * 5 * 5)))
        return self.fc2(F.dropout(x, training=self.training))


class SmallVGGRight(nn.Module):
    def __init__(self, widths=(16, 32, 64)):
        super().__init__()
        layers, channels = [], 3
        for width in widths:
            layers += [
                nn.Conv2d(channels, width, 3, padding="same"),
                nn.GroupNorm(4, width),
                nn.ReLU(),
                nn.MaxPool2d(2),
            ]
            channels = width
        self.features = nn.Sequential(*layers)
        self.head = nn.Linear(64 * 4 * 4, 10)

    def forward(self, x: Picture) -> Tensor["B", 10]:
        return self.head(self.features(x).flatten(1))


class Block(nn.Module):
    def __init__(self, inside, outside, stride=1):
        super().__init__()
        self.conv1 = nn.Conv2d(inside, outside, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(outside)
        self.conv2 = nn.Conv2d(outside, outside, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outside)
        self.shortcut = nn.Conv2d(inside, outside, 1, stride) if stride != 1 or inside != outside else nn.Identity()

    def forward(self, x):
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        return F.relu(y + self.shortcut(x))


class ResNetAnySize(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 16, 7, stride=2, padding=3)
        self.stages = nn.ModuleList([Block(16, 16), Block(16, 32, stride=2), Block(32, 48)])
        self.fc = nn.Linear(48, 10)

    def forward(self, x: Tensor[B, 3, H, W]) -> Tensor[B, 10]:
        x = self.stem(x)
        for stage in self.stages:
            x = stage(x)
        return self.fc(F.adaptive_avg_pool2d(x, 1)[..., 0, 0])


class UNetEven(nn.Module):
    def __init__(self):
        super().__init__()
        self.down1 = nn.Conv2d(3, 16, 3, padding=1)
        self.down2 = nn.Conv2d(16, 32, 3, padding=1)
        self.up = nn.ConvTranspose2d(32, 16, 2, stride=2)
        self.fuse = nn.Conv2d(32, 16, 3, padding=1)
        self.out = nn.Conv2d(16, 1, 1)

    def forward(self, x: Tensor["B", 3, "2*H", "2*W"]) -> Tensor["B", 1, "2*H", "2*W"]:
        a = F.relu(self.down1(x))
        b = F.relu(self.down2(F.max_pool2d(a, 2)))
        return self.out(F.relu(self.fuse(torch.cat([self.up(b), a], dim=1))))


class UNetCropped(nn.Module):
    def __init__(self):
        super().__init__()
        self.down = nn.Conv2d(1, 8, 3, stride=2, padding=1)
        self.deep = nn.Conv2d(8, 8, 3, stride=2, padding=1)
        self.up = nn.ConvTranspose2d(8, 8, 4, stride=2, padding=1)
        self.out = nn.Conv2d(16, 8, 1)

    def forward(self, x: Tensor["B", 1, "H", "W"]) -> Tensor["B", 1, "H", "W"]:
        a = self.down(x)
        b = self.up(self.deep(a))[..., : a.shape[-2], : a.shape[-1]]
        c = self.out(torch.cat((a, b), 1))
        return F.interpolate(c, size=x.shape[-2:], mode="bilinear", align_corners=False).sum(1, keepdim=True) + x


class PaddedToEight(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Conv2d(4, 4, 8, stride=8)
        self.back = nn.ConvTranspose2d(4, 4, 8, stride=8)

    def forward(self, x: Tensor["B", 4, "H", "W"]) -> Tensor["B", 4, "H", "W"]:
        h, w = x.shape[-2:]
        x = F.pad(x, (0, (-w) % 8, 0, (-h) % 8))
        return self.back(self.net(x))[:, :, :h, :w]


class SeparableDilated(nn.Module):
    def __init__(self, channels=24):
        super().__init__()
        self.depth = nn.Conv2d(channels, channels, 3, padding=2, dilation=2, groups=channels)
        self.point = nn.Conv2d(channels, channels * 2, 1)

    def forward(self, x: Tensor[B, 24, H, W]) -> Tensor[B, 48, H, W]:
        return self.point(self.depth(x))


def global_pool_right(x: Tensor["B", "C", "H", "W"], w: Tensor["C", 10]) -> Tensor["B", 10]:
    return x.flatten(2).mean(-1) @ w


def channel_norm_right(x: Tensor[B, C, H, W], scale: Tensor[C], shift: Tensor[C]) -> Tensor[B, C, H, W]:
    mean, std = x.mean(dim=(0, 2, 3), keepdim=True), x.std(dim=(0, 2, 3), keepdim=True)
    shape = [1, -1] + [1] * (x.dim() - 2)
    return (x - mean) / (std + 1e-5) * scale.view(shape) + shift.view(*shape)


def channels_last_right(x: Tensor["B", "H", "W", 3], kernel: Tensor[16, 3, 3, 3]) -> Tensor["B", "H", "W", 16]:
    return F.conv2d(x.movedim(-1, 1), kernel, padding=1).permute(0, 2, 3, 1)


class PatchesRight(nn.Module):
    def __init__(self, dim=96, patch=8, size=64):
        super().__init__()
        self.project = nn.Conv2d(3, dim, patch, stride=patch)
        self.position = nn.Parameter(torch.zeros(1, (size // patch) ** 2 + 1, dim))
        self.cls = nn.Parameter(torch.zeros(1, 1, dim))

    def forward(self, x: Tensor["B", 3, 64, 64]) -> Tensor["B", 65, 96]:
        tokens = self.project(x).flatten(2).transpose(1, 2)
        return torch.cat([self.cls.expand(x.shape[0], -1, -1), tokens], dim=1) + self.position


def space_to_depth_right(x: Tensor["B", "C", "2*H", "2*W"]) -> Tensor["B", "4*C", "H", "W"]:
    b, c, h, w = x.shape
    x = x.view(b, c, h // 2, 2, w // 2, 2)
    return x.permute(0, 3, 5, 1, 2, 4).reshape(b, c * 4, h // 2, w // 2)


def shuffle_there_and_back(x: Tensor["B", "4*C", "H", "W"]) -> Tensor["B", "4*C", "H", "W"]:
    return F.pixel_unshuffle(F.pixel_shuffle(x, 2) * 2, 2)


def channel_shuffle(x: Tensor["B", "3*C", "H", "W"]) -> Tensor["B", "3*C", "H", "W"]:
    b, c, h, w = x.shape
    return x.view(b, 3, c // 3, h, w).transpose(1, 2).reshape(b, -1, h, w)


class PyramidRight(nn.Module):
    def __init__(self):
        super().__init__()
        self.lateral = nn.ModuleDict({f"p{i}": nn.Conv2d(c, 32, 1) for i, c in enumerate((16, 32, 64))})

    def forward(
        self,
        fine: Tensor["B", 16, "4*H", "4*W"],
        middle: Tensor["B", 32, "2*H", "2*W"],
        coarse: Tensor["B", 64, "H", "W"],
    ) -> Tensor["B", 32, "4*H", "4*W"]:
        levels = [layer(x) for layer, x in zip(self.lateral.values(), (fine, middle, coarse), strict=True)]
        top = levels[-1]
        for level in reversed(levels[:-1]):
            top = level + F.interpolate(top, size=level.shape[2:])
        return top


class CheckpointedStages(nn.Module):
    def __init__(self):
        super().__init__()
        self.stages = nn.ModuleList([nn.Conv2d(6, 6, 3, padding=1) for _ in range(3)])

    def forward(self, x: Tensor["B", 6, "H", "W"]) -> Tensor["B", 6, "H", "W"]:
        for stage in self.stages:
            x = checkpoint(stage, x, use_reentrant=False) if self.training else stage(x)
        return x


def film_right(x: Tensor[B, C, H, W], gamma: Tensor[B, C], beta: Tensor[B, C]) -> Tensor[B, C, H, W]:
    gamma, beta = (t[(...,) + (None,) * 2] for t in (gamma, beta))
    return x * (1 + gamma) + beta


PROGRAMS = [
    LeNetRight,
    SmallVGGRight,
    ResNetAnySize,
    UNetEven,
    UNetCropped,
    PaddedToEight,
    SeparableDilated,
    global_pool_right,
    channel_norm_right,
    channels_last_right,
    PatchesRight,
    space_to_depth_right,
    shuffle_there_and_back,
    channel_shuffle,
    PyramidRight,
    CheckpointedStages,
    film_right,
]
