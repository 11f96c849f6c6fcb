"""Convolutional nets, residual nets and U-Nets, each with one bug of shape."""

import torch
import torch.nn.functional as F
from tessera import Tensor, dims
from torch import nn

B, C, H, W = dims("B C H W")
Picture = Tensor["B", 3, 32, 32]


class LeNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 6, 5)
        self.conv2 = nn.Conv2d(6, 16, 5)
        self.fc1 = nn.Linear(16 * 5 * 5, 120)  # BUG
        self.fc2 = nn.Linear(120, 10)

    def forward(self, x: Tensor["B", 1, 28, 28]) -> Tensor["B", 10]:
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)
        x = torch.flatten(x, 1)
        x = F.relu(self.fc1(x))  # HURTS
        return self.fc2(x)


class SmallVGG(nn.Module):
    def __init__(self, widths=(16, 32, 64)):
        super().__init__()
        layers, channels = [], 3
        for width in widths:
            layers += [nn.Conv2d(channels, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU(), nn.MaxPool2d(2)]
            channels = 16  # BUG
        self.features = nn.Sequential(*layers)
        self.head = nn.Linear(64 * 4 * 4, 10)

    def forward(self, x: Picture) -> Tensor["B", 10]:
        return self.head(self.features(x).flatten(1))  # HURTS


class BasicBlock(nn.Module):
    def __init__(self, inside, outside, stride=1):
        super().__init__()
        self.conv1 = nn.Conv2d(inside, outside, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(outside)
        self.conv2 = nn.Conv2d(outside, outside, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outside)
        self.shortcut = nn.Identity()
        if stride != 1:
            self.shortcut = nn.Conv2d(inside, outside, 1, bias=False)  # BUG

    def forward(self, x):
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        return F.relu(y + self.shortcut(x))  # HURTS


class ResNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 16, 3, padding=1)
        self.stages = nn.Sequential(BasicBlock(16, 16), BasicBlock(16, 32, stride=2), BasicBlock(32, 32))
        self.fc = nn.Linear(32, 10)

    def forward(self, x: Tensor[B, 3, 32, 32]) -> Tensor[B, 10]:
        x = self.stages(self.stem(x))
        return self.fc(F.adaptive_avg_pool2d(x, 1).flatten(1))


class UNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.down1 = nn.Conv2d(3, 16, 3, padding=1)
        self.down2 = nn.Conv2d(16, 32, 3, padding=1)
        self.middle = nn.Conv2d(32, 32, 3, padding=1)
        self.up = nn.ConvTranspose2d(32, 16, 2, stride=2)
        self.fuse = nn.Conv2d(16, 16, 3, padding=1)  # BUG
        self.out = nn.Conv2d(16, 1, 1)

    def forward(self, x: Tensor["B", 3, 64, 64]) -> Tensor["B", 1, 64, 64]:
        a = F.relu(self.down1(x))
        b = F.relu(self.down2(F.max_pool2d(a, 2)))
        b = F.relu(self.middle(b))
        u = torch.cat([self.up(b), a], dim=1)
        return self.out(F.relu(self.fuse(u)))  # HURTS


class Upsampler(nn.Module):
    def __init__(self):
        super().__init__()
        self.enc = nn.Conv2d(8, 8, 3, stride=2, padding=1)
        self.dec = nn.Conv2d(16, 8, 3, padding=1)

    def forward(self, x: Tensor["B", 8, "2*H", "2*W"]) -> Tensor["B", 8, "2*H", "2*W"]:
        small = self.enc(x)
        big = F.interpolate(small, scale_factor=4.0, mode="nearest")  # BUG
        return self.dec(torch.cat([big, x], dim=1))  # HURTS


class Separable(nn.Module):
    def __init__(self, channels=24):
        super().__init__()
        self.depth = nn.Conv2d(channels, channels, 3, padding=0, groups=channels)  # BUG
        self.point = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor[B, 24, H, W]) -> Tensor[B, 24, H, W]:
        return self.point(self.depth(x))


def global_pool(x: Tensor["B", "C", "H", "W"], w: Tensor["C", 10]) -> Tensor["B", 10]:
    pooled = x.mean(dim=(1, 2))  # BUG
    return pooled @ w  # HURTS


def channel_norm(x: Tensor[B, C, H, W], scale: Tensor[C], shift: Tensor[C]) -> Tensor[B, C, H, W]:
    mean = x.mean(dim=(0, 2, 3), keepdim=True)
    std = x.std(dim=(0, 2, 3), keepdim=True)
    return (x - mean) / (std + 1e-5) * scale + shift  # BUG


def channels_last(x: Tensor["B", "H", "W", 3], kernel: Tensor[16, 3, 3, 3]) -> Tensor["B", 16, "H", "W"]:
    x = x.permute(0, 2, 3, 1)  # BUG
    return F.conv2d(x, kernel, padding=1)  # HURTS


class Patches(nn.Module):
    def __init__(self, dim=96, patch=8, size=64):
        super().__init__()
        self.project = nn.Conv2d(3, dim, patch, stride=patch)
        self.position = nn.Parameter(torch.zeros(1, (size // patch) * (size // patch), dim))
        self.cls = nn.Parameter(torch.zeros(1, 1, dim))

    def forward(self, x: Tensor["B", 3, 64, 64]) -> Tensor["B", 65, 96]:
        tokens = self.project(x).flatten(2).transpose(1, 2)
        tokens = torch.cat([self.cls.expand(x.shape[0], -1, -1), tokens], dim=1)  # BUG
        return tokens + self.position  # HURTS


def space_to_depth(x: Tensor["B", "C", "2*H", "2*W"]) -> Tensor["B", "4*C", "H", "W"]:
    b, c, h, w = x.shape
    x = x.view(b, c, h // 2, 2, w // 2, 2)
    return x.permute(0, 3, 5, 1, 2, 4).reshape(b, c * 2, h // 2, w)  # BUG


class PyramidOfThree(nn.Module):
    def __init__(self):
        super().__init__()
        self.lateral = nn.ModuleList([nn.Conv2d(c, 32, 1) for c in (16, 32, 128)])  # BUG

    def forward(
        self, fine: Tensor["B", 16, 32, 32], middle: Tensor["B", 32, 16, 16], coarse: Tensor["B", 64, 8, 8]
    ) -> Tensor["B", 32, 32, 32]:
        a, b, c = (layer(x) for layer, x in zip(self.lateral, (fine, middle, coarse)))  # HURTS
        b = b + F.interpolate(c, scale_factor=2)
        return a + F.interpolate(b, scale_factor=2)


def film(x: Tensor[B, C, H, W], gamma: Tensor[B, C], beta: Tensor[B, C]) -> Tensor[B, C, H, W]:
    gamma = gamma[:, :, None, None]
    beta = beta[:, None, :, None]  # BUG
    return x * (1 + gamma) + beta  # HURTS


class MaskedAutoencoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.encode = nn.Sequential(nn.Conv2d(1, 8, 4, stride=2, padding=1), nn.ReLU(), nn.Conv2d(8, 16, 4, 2, 1))
        self.decode = nn.Sequential(
            nn.ConvTranspose2d(16, 8, 4, stride=2, padding=1),
            nn.ReLU(),
            nn.ConvTranspose2d(8, 1, 3, stride=2, padding=1),  # BUG
        )

    def forward(self, x: Tensor["B", 1, 28, 28]) -> Tensor["B", 1, 28, 28]:
        return self.decode(self.encode(x))


PROGRAMS = [
    LeNet,
    SmallVGG,
    ResNet,
    UNet,
    Upsampler,
    Separable,
    global_pool,
    channel_norm,
    channels_last,
    Patches,
    space_to_depth,
    PyramidOfThree,
    film,
    MaskedAutoencoder,
]
