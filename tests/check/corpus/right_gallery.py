"""Networks and functions for pictures, sound and points, as seen in many repositories."""

from __future__ import annotations

from typing import NamedTuple, Tuple

import torch
import torch.nn as nn
import torch.nn.functional as F
from jaxtyping import Float

import tessera
from tessera import Tensor


class FashionNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Flatten(),
            nn.Linear(28 * 28, 300),
            nn.ReLU(),
            nn.Linear(300, 100),
            nn.ReLU(),
            nn.Linear(100, 10),
        )

    def forward(self, x: Tensor["N", 1, 28, 28]) -> Tensor["N", 10]:
        return self.layers(x)


class VggLike(nn.Module):
    def __init__(self, n_classes=100):
        super().__init__()
        self.block1 = self._block(3, 24)
        self.block2 = self._block(24, 48)
        self.head = nn.Linear(48, n_classes)

    def _block(self, cin, cout):
        return nn.Sequential(nn.Conv2d(cin, cout, 3, padding=1), nn.BatchNorm2d(cout), nn.ReLU(), nn.MaxPool2d(2))

    def forward(self, x: Tensor["B", 3, 32, 32]) -> Tensor["B", 100]:
        x = self.block1(x)
        x = self.block2(x)
        x = x.mean(dim=[2, 3])
        return self.head(x)


class ConvAutoencoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.enc1 = nn.Conv2d(1, 16, 3, stride=2, padding=1)
        self.enc2 = nn.Conv2d(16, 32, 3, stride=2, padding=1)
        self.dec1 = nn.ConvTranspose2d(32, 16, 3, stride=2, padding=1, output_padding=1)
        self.dec2 = nn.ConvTranspose2d(16, 1, 3, stride=2, padding=1, output_padding=1)

    def forward(self, x: Tensor["B", 1, 28, 28]) -> Tensor["B", 1, 28, 28]:
        z = F.relu(self.enc2(F.relu(self.enc1(x))))
        return torch.sigmoid(self.dec2(F.relu(self.dec1(z))))


class BottleneckUnit(nn.Module):
    expansion = 4

    def __init__(self, inplanes=64, planes=32):
        super().__init__()
        self.conv1 = nn.Conv2d(inplanes, planes, 1, bias=False)
        self.conv2 = nn.Conv2d(planes, planes, 3, padding=1, bias=False)
        self.conv3 = nn.Conv2d(planes, planes * self.expansion, 1, bias=False)
        self.down = nn.Conv2d(inplanes, planes * self.expansion, 1, bias=False)

    def forward(self, x: Tensor["B", 64, "H", "W"]) -> Tensor["B", 128, "H", "W"]:
        y = self.conv3(F.relu(self.conv2(F.relu(self.conv1(x)))))
        return F.relu(y + self.down(x))


class WindowedPicture(nn.Module):
    def __init__(self, window=7):
        super().__init__()
        self.window = window

    def forward(self, x: Tensor["B", 14, 14, "C"]) -> Tensor["B*4", 49, "C"]:
        B, H, W, C = x.shape
        w = self.window
        x = x.view(B, H // w, w, W // w, w, C)
        x = x.permute(0, 1, 3, 2, 4, 5)
        return x.reshape(-1, w * w, C)


def to_grayscale(rgb: Tensor["B", 3, "H", "W"]) -> Tensor["B", 1, "H", "W"]:
    weights = torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)
    return (rgb * weights).sum(dim=1, keepdim=True)


def normalise_pictures(x: Tensor["B", 3, "H", "W"], mean: Tensor[3], std: Tensor[3]) -> Tensor["B", 3, "H", "W"]:
    x = x - mean[None, :, None, None]
    return x / std[None, :, None, None]


def concat_coordinates(x: Tensor["B", "C", "H", "W"]) -> Tensor["B", "C + 2", "H", "W"]:
    b, _, h, w = x.shape
    ys = torch.linspace(-1, 1, h).view(1, 1, h, 1).expand(b, 1, h, w)
    xs = torch.linspace(-1, 1, w).view(1, 1, 1, w).expand(b, 1, h, w)
    return torch.cat([x, ys, xs], dim=1)


class Box(NamedTuple):
    centre: Tensor["N", 2]
    size: Tensor["N", 2]


def corners(box: Box) -> Tensor["N", 4]:
    low = box.centre - box.size / 2
    high = box.centre + box.size / 2
    return torch.cat([low, high], dim=-1)


def gram(features: Tensor["B", "C", "H", "W"]) -> Tensor["B", "C", "C"]:
    b, c, h, w = features.shape
    f = features.view(b, c, h * w)
    return f @ f.transpose(1, 2) / (c * h * w)


def total_variation(x: Tensor["B", "C", "H", "W"]) -> Tensor["B"]:
    dy = (x[:, :, 1:, :] - x[:, :, :-1, :]).abs()
    dx = (x[:, :, :, 1:] - x[:, :, :, :-1]).abs()
    return dy.sum(dim=(1, 2, 3)) + dx.sum(dim=(1, 2, 3))


def hinge_gan(real: Tensor["B", 1], fake: Tensor["B", 1]) -> Tensor["B"]:
    loss_real = F.relu(1 - real)
    loss_fake = F.relu(1 + fake)
    return (loss_real + loss_fake).squeeze(1)


def mel_features(spec: Tensor["B", 201, "T"], filters: Tensor[80, 201]) -> Tensor["B", 80, "T"]:
    power = spec.abs().pow(2)
    mel = filters @ power
    return torch.log(mel + 1e-6)


class WaveBlockOne(nn.Module):
    def __init__(self, ch=32, dilation=2):
        super().__init__()
        self.conv = nn.Conv1d(ch, 2 * ch, 3, padding=dilation, dilation=dilation)
        self.res = nn.Conv1d(ch, ch, 1)

    def forward(self, x: Tensor["B", 32, "T"]) -> Tensor["B", 32, "T"]:
        a, b = self.conv(x).chunk(2, dim=1)
        return x + self.res(torch.tanh(a) * torch.sigmoid(b))


def farthest_distance(
    points: Float[torch.Tensor, "b n 3"], centre: Float[torch.Tensor, "b 3"]
) -> Float[torch.Tensor, "b"]:
    diff = points - centre.unsqueeze(1)
    return diff.norm(dim=-1).amax(dim=-1)


def rigid_transform(
    points: Float[torch.Tensor, "b n 3"], R: Float[torch.Tensor, "b 3 3"], t: Float[torch.Tensor, "b 3"]
) -> Float[torch.Tensor, "b n 3"]:
    rotated = torch.einsum("bij,bnj->bni", R, points)
    return rotated + t[:, None, :]


class PointFeatures(nn.Module):
    def __init__(self, out=128):
        super().__init__()
        self.mlp1 = nn.Conv1d(3, 64, 1)
        self.mlp2 = nn.Conv1d(64, out, 1)

    def forward(self, pts: Tensor["B", "N", 3]) -> Tensor["B", 128]:
        x = pts.transpose(1, 2)
        x = self.mlp2(F.relu(self.mlp1(x)))
        return x.max(dim=2)[0]


class StyleMod(nn.Module):
    def __init__(self, w_dim=64, ch=16):
        super().__init__()
        self.affine = nn.Linear(w_dim, 2 * ch)
        self.norm = nn.InstanceNorm2d(ch)

    def forward(self, x: Tensor["B", 16, "H", "W"], w: Tensor["B", 64]) -> Tensor["B", 16, "H", "W"]:
        gamma, beta = self.affine(w).chunk(2, dim=1)
        return self.norm(x) * (1 + gamma[:, :, None, None]) + beta[:, :, None, None]


PROGRAMS = [
    FashionNet,
    VggLike,
    ConvAutoencoder,
    BottleneckUnit,
    WindowedPicture,
    to_grayscale,
    normalise_pictures,
    concat_coordinates,
    corners,
    gram,
    total_variation,
    hinge_gan,
    mel_features,
    WaveBlockOne,
    farthest_distance,
    rigid_transform,
    PointFeatures,
    StyleMod,
]

SIZES = {}
