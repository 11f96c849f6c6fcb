"""Networks and functions for pictures, sound and points, as seen in many repositories, each with one line wrong."""

from __future__ import annotations

from typing import NamedTuple, Tuple

import torch
import torch.nn as nn
import torch.nn.functional as F
from jaxtyping import Float

import tessera
from tessera import Tensor


class WrongFashionNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Flatten(),
            nn.Linear(28 * 28, 300),
            nn.ReLU(),
            nn.Linear(200, 100),  # BUG
            nn.ReLU(),
            nn.Linear(100, 10),
        )

    def forward(self, x: Tensor["N", 1, 28, 28]) -> Tensor["N", 10]:
        return self.layers(x)  # HURTS


class WrongVggLike(nn.Module):
    def __init__(self, n_classes=100):
        super().__init__()
        self.block1 = self._block(3, 24)
        self.block2 = self._block(48, 48)  # BUG
        self.head = nn.Linear(48, n_classes)

    def _block(self, cin, cout):
        return nn.Sequential(nn.Conv2d(cin, cout, 3, padding=1), nn.BatchNorm2d(cout), nn.ReLU(), nn.MaxPool2d(2))

    def forward(self, x: Tensor["B", 3, 32, 32]) -> Tensor["B", 100]:
        x = self.block1(x)
        x = self.block2(x)  # HURTS
        x = x.mean(dim=[2, 3])
        return self.head(x)


class WrongConvAutoencoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.enc1 = nn.Conv2d(1, 16, 3, stride=2, padding=1)
        self.enc2 = nn.Conv2d(16, 32, 3, stride=2, padding=1)
        self.dec1 = nn.ConvTranspose2d(32, 16, 3, stride=2, padding=1, output_padding=1)
        self.dec2 = nn.ConvTranspose2d(16, 1, 3, stride=2, padding=1)  # BUG

    def forward(self, x: Tensor["B", 1, 28, 28]) -> Tensor["B", 1, 28, 28]:
        z = F.relu(self.enc2(F.relu(self.enc1(x))))
        return torch.sigmoid(self.dec2(F.relu(self.dec1(z))))


class WrongBottleneckUnit(nn.Module):
    expansion = 4

    def __init__(self, inplanes=64, planes=32):
        super().__init__()
        self.conv1 = nn.Conv2d(inplanes, planes, 1, bias=False)
        self.conv2 = nn.Conv2d(planes, planes, 3, padding=1, bias=False)
        self.conv3 = nn.Conv2d(planes, planes * self.expansion, 1, bias=False)
        self.down = nn.Conv2d(inplanes, planes, 1, bias=False)  # BUG

    def forward(self, x: Tensor["B", 64, "H", "W"]) -> Tensor["B", 128, "H", "W"]:
        y = self.conv3(F.relu(self.conv2(F.relu(self.conv1(x)))))
        return F.relu(y + self.down(x))  # HURTS


class WrongWindowedPicture(nn.Module):
    def __init__(self, window=7):
        super().__init__()
        self.window = window

    def forward(self, x: Tensor["B", 14, 14, "C"]) -> Tensor["B*4", 49, "C"]:
        B, H, W, C = x.shape
        w = self.window
        x = x.view(B, H // w, w, W // w, w, C)
        x = x.permute(0, 1, 3, 2, 4, 5)
        return x.reshape(B, -1, w * w, C)  # BUG


def wrong_to_grayscale(rgb: Tensor["B", 3, "H", "W"]) -> Tensor["B", 1, "H", "W"]:
    weights = torch.tensor([0.299, 0.587, 0.114])  # BUG
    return (rgb * weights).sum(dim=1, keepdim=True)  # HURTS


def wrong_normalise_pictures(x: Tensor["B", 3, "H", "W"], mean: Tensor[3], std: Tensor[3]) -> Tensor["B", 3, "H", "W"]:
    x = x - mean[None, :, None, None]
    return x / std[None, :]  # BUG


def wrong_concat_coordinates(x: Tensor["B", "C", "H", "W"]) -> Tensor["B", "C + 2", "H", "W"]:
    b, _, h, w = x.shape
    ys = torch.linspace(-1, 1, h).view(1, 1, h, 1).expand(b, 1, h, w)
    xs = torch.linspace(-1, 1, w).view(1, 1, w, 1).expand(b, 1, h, w)  # BUG
    return torch.cat([x, ys, xs], dim=1)


class Box(NamedTuple):
    centre: Tensor["N", 2]
    size: Tensor["N", 2]


def wrong_corners(box: Box) -> Tensor["N", 4]:
    low = box.centre - box.size / 2
    high = box.centre + box.size / 2
    return torch.stack([low, high], dim=-1)  # BUG


def wrong_gram(features: Tensor["B", "C", "H", "W"]) -> Tensor["B", "C", "C"]:
    b, c, h, w = features.shape
    f = features.view(b, c * h, w)  # BUG
    return f @ f.transpose(1, 2) / (c * h * w)


def wrong_total_variation(x: Tensor["B", "C", "H", "W"]) -> Tensor["B"]:
    dy = (x[:, :, 1:, :] - x[:, :, :-1, :]).abs()
    dx = (x[:, :, :, 1:] - x[:, :, :, :]).abs()  # BUG
    return dy.sum(dim=(1, 2, 3)) + dx.sum(dim=(1, 2, 3))


def wrong_hinge_gan(real: Tensor["B", 1], fake: Tensor["B", 1]) -> Tensor["B"]:
    loss_real = F.relu(1 - real)
    loss_fake = F.relu(1 + fake)
    return loss_real + loss_fake  # BUG


def wrong_mel_features(spec: Tensor["B", 201, "T"], filters: Tensor[80, 201]) -> Tensor["B", 80, "T"]:
    power = spec.abs().pow(2)
    mel = filters.T @ power  # BUG
    return torch.log(mel + 1e-6)


class WrongWaveBlockOne(nn.Module):
    def __init__(self, ch=32, dilation=2):
        super().__init__()
        self.conv = nn.Conv1d(ch, 2 * ch, 3, padding=1, dilation=dilation)  # BUG
        self.res = nn.Conv1d(ch, ch, 1)

    def forward(self, x: Tensor["B", 32, "T"]) -> Tensor["B", 32, "T"]:
        a, b = self.conv(x).chunk(2, dim=1)
        return x + self.res(torch.tanh(a) * torch.sigmoid(b))  # HURTS


def wrong_farthest_distance(
    points: Float[torch.Tensor, "b n 3"], centre: Float[torch.Tensor, "b 3"]
) -> Float[torch.Tensor, "b"]:
    diff = points - centre  # BUG
    return diff.norm(dim=-1).amax(dim=-1)


def wrong_rigid_transform(
    points: Float[torch.Tensor, "b n 3"], R: Float[torch.Tensor, "b 3 3"], t: Float[torch.Tensor, "b 3"]
) -> Float[torch.Tensor, "b n 3"]:
    rotated = torch.einsum("bij,bnj->bin", R, points)  # BUG
    return rotated + t[:, None, :]  # HURTS


class WrongPointFeatures(nn.Module):
    def __init__(self, out=128):
        super().__init__()
        self.mlp1 = nn.Conv1d(3, 64, 1)
        self.mlp2 = nn.Conv1d(64, out, 1)

    def forward(self, pts: Tensor["B", "N", 3]) -> Tensor["B", 128]:
        x = pts.transpose(1, 2)
        x = self.mlp2(F.relu(self.mlp1(x)))
        return x.max(dim=1)[0]  # BUG


class WrongStyleMod(nn.Module):
    def __init__(self, w_dim=64, ch=16):
        super().__init__()
        self.affine = nn.Linear(w_dim, 2 * ch)
        self.norm = nn.InstanceNorm2d(ch)

    def forward(self, x: Tensor["B", 16, "H", "W"], w: Tensor["B", 64]) -> Tensor["B", 16, "H", "W"]:
        gamma, beta = self.affine(w).chunk(2, dim=0)  # BUG
        return self.norm(x) * (1 + gamma[:, :, None, None]) + beta[:, :, None, None]  # HURTS


PROGRAMS = [
    WrongFashionNet,
    WrongVggLike,
    WrongConvAutoencoder,
    WrongBottleneckUnit,
    WrongWindowedPicture,
    wrong_to_grayscale,
    wrong_normalise_pictures,
    wrong_concat_coordinates,
    wrong_corners,
    wrong_gram,
    wrong_total_variation,
    wrong_hinge_gan,
    wrong_mel_features,
    WrongWaveBlockOne,
    wrong_farthest_distance,
    wrong_rigid_transform,
    WrongPointFeatures,
    WrongStyleMod,
]

SIZES = {}
