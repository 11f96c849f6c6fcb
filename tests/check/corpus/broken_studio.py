"""Pictures: convolutions, patches, diffusion, boxes and their losses, each with one line wrong."""

from __future__ import annotations

from typing import Optional

import torch
from torch import nn
from torch.nn import functional as F

from tessera import Tensor


class WrongSmallCNN(nn.Module):
    def __init__(self, num_classes: int = 10):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 32, kernel_size=3, padding=1)
        self.conv2 = nn.Conv2d(32, 64, kernel_size=3, padding=1)
        self.pool = nn.MaxPool2d(2)
        self.fc1 = nn.Linear(64 * 14 * 14, 128)  # BUG
        self.fc2 = nn.Linear(128, num_classes)

    def forward(self, x: Tensor["B", 1, 28, 28]) -> Tensor["B", 10]:
        x = self.pool(F.relu(self.conv1(x)))
        x = self.pool(F.relu(self.conv2(x)))
        x = x.view(x.size(0), -1)
        x = F.relu(self.fc1(x))  # HURTS
        return self.fc2(x)


class WrongResidualConv(nn.Module):
    def __init__(self, in_ch: int = 16, out_ch: int = 32):
        super().__init__()
        self.conv1 = nn.Conv2d(in_ch, out_ch, 3, stride=2, padding=1)
        self.bn1 = nn.BatchNorm2d(out_ch)
        self.conv2 = nn.Conv2d(out_ch, out_ch, 3, padding=1)
        self.bn2 = nn.BatchNorm2d(out_ch)
        self.shortcut = nn.Conv2d(in_ch, out_ch, 1)  # BUG

    def forward(self, x: Tensor["B", 16, 32, 32]) -> Tensor["B", 32, 16, 16]:
        out = F.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        return F.relu(out + self.shortcut(x))  # HURTS


class WrongPatchEmbedding(nn.Module):
    def __init__(self, image=32, patch=4, dim=48):
        super().__init__()
        self.proj = nn.Conv2d(3, dim, kernel_size=patch, stride=patch)
        self.cls = nn.Parameter(torch.zeros(1, 1, dim))
        self.pos = nn.Parameter(torch.zeros(1, (image // patch) ** 2, dim))  # BUG

    def forward(self, img: Tensor["B", 3, 32, 32]) -> Tensor["B", 65, 48]:
        x = self.proj(img).flatten(2).transpose(1, 2)
        cls = self.cls.expand(x.shape[0], -1, -1)
        x = torch.cat([cls, x], dim=1)
        return x + self.pos  # HURTS


def wrong_patchify(images: Tensor["B", 3, 32, 32], p: int = 8) -> Tensor["B", 16, 192]:
    b, c, h, w = images.shape
    x = images.reshape(b, c, h // p, p, w // p, p)
    x = x.permute(0, 2, 4, 3, 5, 1)
    return x.reshape(b, (h // p) * (w // p), p * c)  # BUG


class WrongSqueezeGate(nn.Module):
    def __init__(self, channels: int = 32, reduction: int = 4):
        super().__init__()
        self.fc1 = nn.Linear(channels, channels // reduction)
        self.fc2 = nn.Linear(channels // reduction, channels)

    def forward(self, x: Tensor["B", 32, "H", "W"]) -> Tensor["B", 32, "H", "W"]:
        s = x.mean(dim=(2, 3))
        s = torch.sigmoid(self.fc2(F.relu(self.fc1(s))))
        return x * s  # BUG


class WrongUNetStep(nn.Module):
    def __init__(self, c=8):
        super().__init__()
        self.down = nn.Conv2d(c, 2 * c, 3, stride=2, padding=1)
        self.up = nn.ConvTranspose2d(2 * c, c, 2, stride=2)
        self.merge = nn.Conv2d(c, c, 3, padding=1)  # BUG

    def forward(self, x: Tensor["B", 8, 64, 64]) -> Tensor["B", 8, 64, 64]:
        low = F.relu(self.down(x))
        up = self.up(low)
        return self.merge(torch.cat([x, up], dim=1))  # HURTS


def wrong_noisy_sample(
    x0: Tensor["B", 3, "H", "W"], noise: Tensor["B", 3, "H", "W"], t: Tensor["B", torch.long]
) -> Tensor["B", 3, "H", "W"]:
    alphas = torch.linspace(0.999, 0.98, 1000).cumprod(dim=0)
    a = alphas[t]  # BUG
    return a.sqrt() * x0 + (1 - a).sqrt() * noise  # HURTS


class WrongTimeBlock(nn.Module):
    def __init__(self, ch=24, t_dim=40):
        super().__init__()
        self.conv = nn.Conv2d(ch, ch, 3, padding=1)
        self.time = nn.Linear(ch, t_dim)  # BUG

    def forward(self, x: Tensor["B", 24, "H", "W"], t: Tensor["B", 40]) -> Tensor["B", 24, "H", "W"]:
        h = F.silu(self.conv(x))
        h = h + self.time(t)[:, :, None, None]  # HURTS
        return h


def wrong_pairwise_iou(a: Tensor["N", 4], b: Tensor["M", 4]) -> Tensor["N", "M"]:
    lt = torch.max(a[:, :2], b[:, :2])  # BUG
    rb = torch.min(a[:, None, 2:], b[None, :, 2:])
    wh = (rb - lt).clamp(min=0)
    inter = wh[..., 0] * wh[..., 1]
    area_a = (a[:, 2] - a[:, 0]) * (a[:, 3] - a[:, 1])
    area_b = (b[:, 2] - b[:, 0]) * (b[:, 3] - b[:, 1])
    return inter / (area_a[:, None] + area_b[None, :] - inter)


def wrong_channel_stats(images: Tensor["B", 3, "H", "W"]) -> Tensor["B", 3, "H", "W"]:
    mean = images.mean(dim=(0, 2, 3), keepdim=True)
    std = images.std(dim=(0, 2, 3))  # BUG
    return (images - mean) / (std + 1e-6)  # HURTS


def wrong_segmentation_loss(
    logits: Tensor["B", "C", "H", "W"], labels: Tensor["B", "H", "W", torch.long]
) -> Tensor[()]:
    n, c, h, w = logits.shape
    flat = logits.permute(0, 2, 3, 1).reshape(-1, c)
    target = labels.reshape(n, -1)  # BUG
    return F.cross_entropy(flat, target)  # HURTS


def wrong_soft_dice(probs: Tensor["B", 1, "H", "W"], masks: Tensor["B", "H", "W"]) -> Tensor["B"]:
    p = probs.squeeze(1).flatten(1)
    m = masks.flatten(1)
    inter = (p * m).sum(dim=1)
    union = p.sum(dim=1) + m.sum(dim=0)  # BUG
    return 2 * inter / (union + 1e-6)


class WrongDepthSeparable(nn.Module):
    def __init__(self, cin=12, cout=20):
        super().__init__()
        self.depth = nn.Conv2d(cin, cin, 3, padding=1, groups=cin)
        self.point = nn.Conv2d(cin, cout, 1)
        self.bn = nn.BatchNorm2d(cin)  # BUG

    def forward(self, x: Tensor["B", 12, "H", "W"]) -> Tensor["B", 20, "H", "W"]:
        return F.relu6(self.bn(self.point(self.depth(x))))  # HURTS


class WrongLatentImageModel(nn.Module):
    def __init__(self, latent: int = 16):
        super().__init__()
        self.enc = nn.Linear(784, 256)
        self.mu = nn.Linear(256, latent)
        self.logvar = nn.Linear(256, latent)
        self.dec1 = nn.Linear(latent, 256)
        self.dec2 = nn.Linear(256, 784)

    def forward(self, x: Tensor["B", 1, 28, 28]) -> Tensor["B", 1, 28, 28]:
        h = F.relu(self.enc(x.flatten(1)))
        mu, logvar = self.mu(h), self.logvar(h)
        z = mu + torch.randn_like(mu) * (0.5 * logvar).exp()
        y = torch.sigmoid(self.dec2(F.relu(self.dec1(z))))
        return y  # BUG


class WrongDcGenerator(nn.Module):
    def __init__(self, z=100, base=32):
        super().__init__()
        self.fc = nn.Linear(z, base * 4 * 4 * 4)
        self.net = nn.Sequential(
            nn.ConvTranspose2d(base * 4, base * 2, 4, 2, 1),
            nn.BatchNorm2d(base * 2),
            nn.ReLU(),
            nn.ConvTranspose2d(base * 2, base, 4, 2, 1),
            nn.BatchNorm2d(base),
            nn.ReLU(),
            nn.ConvTranspose2d(base, 3, 4, 2, 1),
        )
        self.base = base

    def forward(self, z: Tensor["B", 100]) -> Tensor["B", 3, 32, 32]:
        x = self.fc(z).view(z.size(0), self.base, 4, 4)  # BUG
        return torch.tanh(self.net(x))


def wrong_images_to_tokens(x: Tensor["B", "C", "H", "W"]) -> Tensor["B", "H * W", "C"]:
    return x.flatten(2)  # BUG


def wrong_tokens_to_images(x: Tensor["B", "64", "C"]) -> Tensor["B", "C", 8, 8]:
    b, n, c = x.shape
    return x.reshape(b, 8, 8, c)  # BUG


class WrongImageClassifier(nn.Module):
    def __init__(self, classes=7):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 16, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(3, 32, 3, padding=1),  # BUG
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(1),
        )
        self.head = nn.Linear(32, classes)

    def forward(self, x: Tensor["B", 3, "H", "W"]) -> Tensor["B", 7]:
        return self.head(self.features(x).flatten(1))  # HURTS


def wrong_guided_noise(
    cond: Tensor["B", 4, "H", "W"], uncond: Tensor["B", 4, "H", "W"], scale: Tensor["B"]
) -> Tensor["B", 4, "H", "W"]:
    weight = scale[:, None, None]  # BUG
    return uncond + weight * (cond - uncond)  # HURTS


def wrong_stack_frames(a: Tensor["B", "C", "H", "W"], b: Tensor["B", "C", "H", "W"]) -> Tensor["B", 2, "C", "H", "W"]:
    return torch.cat([a, b], dim=1)  # BUG


def wrong_blur_rows(
    x: Tensor["B", 1, "H", "W"], kernel: Optional[Tensor[1, 1, 1, 5]] = None
) -> Tensor["B", 1, "H", "W"]:
    if kernel is None:
        kernel = torch.full((1, 1, 1, 5), 0.2)
    return F.conv2d(x, kernel, padding=(2, 0))  # BUG


class WrongKeypointHead(nn.Module):
    def __init__(self, joints: int = 17, ch: int = 32):
        super().__init__()
        self.final = nn.Conv2d(ch, joints, 1)

    def forward(self, feats: Tensor["B", 32, 48, 64]) -> Tensor["B", 17, 2]:
        maps = self.final(feats)
        b, j, h, w = maps.shape
        probs = maps.view(b, j, h * w).softmax(-1).view(b, j, h, w)
        ys = torch.linspace(0, 1, h)
        xs = torch.linspace(0, 1, w)
        ey = (probs.sum(dim=2) * ys).sum(-1)  # BUG
        ex = (probs.sum(dim=2) * xs).sum(-1)
        return torch.stack([ex, ey], dim=-1)


PROGRAMS = [
    WrongSmallCNN,
    WrongResidualConv,
    WrongPatchEmbedding,
    wrong_patchify,
    WrongSqueezeGate,
    WrongUNetStep,
    wrong_noisy_sample,
    WrongTimeBlock,
    wrong_pairwise_iou,
    wrong_channel_stats,
    wrong_segmentation_loss,
    wrong_soft_dice,
    WrongDepthSeparable,
    WrongLatentImageModel,
    WrongDcGenerator,
    wrong_images_to_tokens,
    wrong_tokens_to_images,
    WrongImageClassifier,
    wrong_guided_noise,
    wrong_stack_frames,
    wrong_blur_rows,
    WrongKeypointHead,
]

SIZES = {}
