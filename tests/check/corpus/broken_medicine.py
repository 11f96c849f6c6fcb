"""Medical pictures and signals: volumes, slices, ECG, survival, each with one line wrong."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional, Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import nn

import tessera as ts
from tessera import Tensor

B, C, D, H, W, K = ts.dims("B C D H W K")


def double_conv(cin, cout):
    return nn.Sequential(
        nn.Conv3d(cin, cout, 3, padding=1),
        nn.InstanceNorm3d(cout),
        nn.LeakyReLU(0.1),
        nn.Conv3d(cout, cout, 3, padding=1),
        nn.InstanceNorm3d(cout),
        nn.LeakyReLU(0.1),
    )


def one_hot_volume(labels, classes):
    """(B, D, H, W) -> (B, classes, D, H, W)"""
    return F.one_hot(labels, classes).permute(0, 4, 1, 2, 3).float()


class WrongVolumeUNet(nn.Module):
    def __init__(self, modalities=4, width=8, classes=3):
        super().__init__()
        self.enc1 = double_conv(modalities, width)
        self.enc2 = double_conv(width, 2 * width)
        self.bottom = double_conv(2 * width, 4 * width)
        self.up2 = nn.ConvTranspose3d(4 * width, 2 * width, 2, stride=2)
        self.dec2 = double_conv(4 * width, 2 * width)
        self.up1 = nn.ConvTranspose3d(2 * width, width, 2, stride=2)
        self.dec1 = double_conv(width, width)  # BUG
        self.head = nn.Conv3d(width, classes, 1)

    def forward(self, scan: Tensor["B", 4, 16, 32, 32]) -> Tensor["B", 3, 16, 32, 32]:
        one = self.enc1(scan)
        two = self.enc2(F.max_pool3d(one, 2))
        low = self.bottom(F.max_pool3d(two, 2))
        x = self.dec2(torch.cat([self.up2(low), two], dim=1))
        x = self.dec1(torch.cat([self.up1(x), one], dim=1))  # HURTS
        return self.head(x)


def wrong_dice_per_class(
    logits: Tensor["B", 4, "D", "H", "W"], labels: Tensor["B", "D", "H", "W", torch.int64]
) -> Tensor["B", 4]:
    prob = logits.softmax(dim=1)
    target = one_hot_volume(labels, 4)
    overlap = (prob * target).sum(dim=(2, 3))  # BUG
    total = prob.sum(dim=(2, 3, 4)) + target.sum(dim=(2, 3, 4))
    return 2 * overlap / total.clamp(min=1.0)  # HURTS


class WrongSliceAggregator(nn.Module):
    """A picture network over every slice, then attention over the slices."""

    def __init__(self, dim=32, classes=5):
        super().__init__()
        self.stem = nn.Conv2d(1, dim, 4, stride=4)
        self.attend = nn.Linear(dim, 1)
        self.head = nn.Linear(dim, classes)

    def forward(self, volume: Tensor[B, D, H, W]) -> Tensor[B, 5]:
        b, d, h, w = volume.shape
        slices = volume.reshape(b * d, 1, h, w)
        x = F.gelu(self.stem(slices)).mean(dim=(-2, -1))
        x = x.reshape(d, b, -1)  # BUG
        weight = self.attend(x).softmax(dim=1)
        return self.head((weight * x).sum(dim=1))


class WrongEcgResNet(nn.Module):
    """Twelve leads."""

    def __init__(self, leads=12, widths=(32, 32, 64), classes=9):
        super().__init__()
        self.stem = nn.Conv1d(leads, widths[0], 15, stride=2, padding=7)
        blocks, skips = [], []
        for cin, cout in zip(widths[:-1], widths[1:]):
            blocks.append(nn.Sequential(nn.Conv1d(cin, cout, 7, stride=2, padding=3), nn.BatchNorm1d(cout), nn.ReLU()))
            skips.append(nn.Conv1d(cin, cin, 1, stride=2))  # BUG
        self.blocks, self.skips = nn.ModuleList(blocks), nn.ModuleList(skips)
        self.head = nn.Linear(widths[-1], classes)

    def forward(self, ecg: Tensor["B", 12, 1000]) -> Tensor["B", 9]:
        x = F.relu(self.stem(ecg))
        for block, skip in zip(self.blocks, self.skips):
            x = block(x) + skip(x)  # HURTS
        return self.head(x.mean(dim=-1))


def wrong_cox_loss(
    risk: Float[torch.Tensor, "patients 1"],
    months: Float[torch.Tensor, "patients"],
    died: Bool[torch.Tensor, "patients"],
) -> Float[torch.Tensor, ""]:
    order = months.argsort(descending=True)
    ranked, event = risk[order], died[order]  # BUG
    hazard = ranked.logcumsumexp(dim=0)
    return -((ranked - hazard) * event).sum(dim=-1) / event.sum().clamp(min=1)


@dataclass
class Study:
    image: Tensor["B", 1, 64, 64]
    age: Tensor["B"]
    sex: Tensor["B", torch.int64]


class WrongImageAndRecord(nn.Module):
    def __init__(self, dim=24):
        super().__init__()
        self.image = nn.Sequential(nn.Conv2d(1, dim, 8, stride=8), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.sex = nn.Embedding(3, 4)
        self.record = nn.Linear(5, dim)
        self.head = nn.Linear(2 * dim, 1)

    def forward(self, study: Study) -> Tensor["B"]:
        picture = self.image(study.image)
        age = study.age / 100  # BUG
        record = self.record(torch.cat([age, self.sex(study.sex)], dim=-1))  # HURTS
        return self.head(torch.cat([picture, record], dim=-1)).squeeze(-1)


def wrong_warp_volume(
    moving: Tensor["B", "C", "D", "H", "W"], flow: Tensor["B", 3, "D", "H", "W"]
) -> Tensor["B", "C", "D", "H", "W"]:
    d, h, w = moving.shape[2:]
    axes = [torch.linspace(-1, 1, n) for n in (d, h, w)]
    z, y, x = torch.meshgrid(*axes, indexing="ij")
    base = torch.stack([x, y, z], dim=0)  # BUG
    grid = base + flow.permute(0, 2, 3, 4, 1)  # HURTS
    return F.grid_sample(moving, grid, align_corners=True)


class WrongHeatmapLandmarks(nn.Module):
    def __init__(self, points=6, width=16):
        super().__init__()
        self.body = nn.Sequential(nn.Conv3d(1, width, 3, padding=1), nn.ReLU(), nn.Conv3d(width, points, 3, padding=1))

    def forward(self, scan: Tensor["B", 1, "D", "H", "W"]) -> Tensor["B", 6, 3]:
        heat = self.body(scan)
        b, k, d, h, w = heat.shape
        heat = heat.flatten(2).softmax(dim=-1).view(b, k, d, h, w)
        z = (heat.sum(dim=(3, 4)) * torch.arange(d)).sum(dim=-1)
        y = (heat.sum(dim=(2, 4)) * torch.arange(h)).sum(dim=-1)
        x = (heat.sum(dim=(2, 3)) * torch.arange(h)).sum(dim=-1)  # BUG
        return torch.stack([z, y, x], dim=-1)


class WrongMultipleInstance(nn.Module):
    """A bag of patches of a slide, some of them padding."""

    def __init__(self, dim=64, hidden=16, classes=2):
        super().__init__()
        self.v = nn.Linear(dim, hidden)
        self.u = nn.Linear(dim, hidden)
        self.w = nn.Linear(hidden, 1)
        self.head = nn.Linear(dim, classes)

    def forward(self, patches: Tensor[B, K, 64], valid: Tensor[B, K, torch.bool]) -> tuple[Tensor[B, 2], Tensor[B, K]]:
        score = self.w(torch.tanh(self.v(patches)) * torch.sigmoid(self.u(patches)))
        score = score.masked_fill(~valid, -1e4)  # BUG
        weight = score.softmax(dim=1)
        slide = torch.einsum("bk,bkd->bd", weight, patches)  # HURTS
        return self.head(slide), weight


class WrongDeepSupervision(nn.Module):
    def __init__(self, widths: Sequence[int] = (32, 16, 8), classes=2):
        super().__init__()
        self.heads = nn.ModuleList([nn.Conv2d(w, classes, 1) for w in widths])

    def forward(
        self, features: list[Tensor["B", 16, "H", "W"]], target: Tensor["B", "H", "W", torch.int64]
    ) -> Tensor["B"]:
        total = torch.zeros(target.shape[0])
        x = features[0]
        logits = self.heads[0](x)  # BUG
        for _ in range(2):
            loss = F.cross_entropy(logits, target, reduction="none")
            total = total + loss.mean(dim=(1, 2))
        return total


PROGRAMS = [
    WrongVolumeUNet,
    wrong_dice_per_class,
    WrongSliceAggregator,
    WrongEcgResNet,
    wrong_cox_loss,
    WrongImageAndRecord,
    wrong_warp_volume,
    WrongHeatmapLandmarks,
    WrongMultipleInstance,
    WrongDeepSupervision,
]
