"""Diffusion, flows and other generators, each with one line wrong."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Callable, Optional, Union

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import nn

import tessera as ts
from tessera import Tensor

B, C, H, W, N, D = ts.dims("B C H W N D")


def extract(table, t, like):
    """table (T,), t (B,) -> (B, 1, ..., 1) of as many dimensions as ``like``"""
    return table[t].reshape(-1, *([1] * (like.dim() - 1)))


@dataclass(frozen=True)
class DiTConfig:
    size: int = 32
    patch: int = 4
    channels: int = 3
    dim: int = 64
    depth: int = 2
    heads: int = 4

    @property
    def tokens(self):
        return (self.size // self.patch) ** 2


def modulate(x, shift, scale):
    """x (B, N, D), shift and scale (B, D)"""
    return x * (1 + scale.unsqueeze(1)) + shift.unsqueeze(1)  # HURTS


class DiTBlock(nn.Module):
    def __init__(self, dim, heads):
        super().__init__()
        self.norm1 = nn.LayerNorm(dim, elementwise_affine=False)
        self.attn = nn.MultiheadAttention(dim, heads, batch_first=True)
        self.norm2 = nn.LayerNorm(dim, elementwise_affine=False)
        self.mlp = nn.Sequential(nn.Linear(dim, 4 * dim), nn.GELU(), nn.Linear(4 * dim, dim))
        self.ada = nn.Linear(dim, 4 * dim)  # BUG

    def forward(self, x, c):
        shift1, scale1, gate1, shift2, scale2, gate2 = self.ada(F.silu(c)).chunk(6, dim=-1)
        y = modulate(self.norm1(x), shift1, scale1)  # HURTS
        x = x + gate1.unsqueeze(1) * self.attn(y, y, y, need_weights=False)[0]
        return x + gate2.unsqueeze(1) * self.mlp(modulate(self.norm2(x), shift2, scale2))


class WrongSmallDiT(nn.Module):
    def __init__(self, cfg: DiTConfig = DiTConfig()):
        super().__init__()
        self.cfg = cfg
        self.patch = nn.Conv2d(cfg.channels, cfg.dim, cfg.patch, cfg.patch)
        self.place = nn.Parameter(torch.zeros(1, cfg.tokens, cfg.dim))
        self.blocks = nn.ModuleList([DiTBlock(cfg.dim, cfg.heads) for _ in range(cfg.depth)])
        self.out = nn.Linear(cfg.dim, cfg.patch**2 * cfg.channels)

    def forward(self, x: Tensor[B, 3, 32, 32], c: Tensor[B, 64]) -> Tensor[B, 64, 48]:
        x = self.patch(x).flatten(2).transpose(1, 2) + self.place
        for block in self.blocks:
            x = block(x, c)
        return self.out(x)


class WrongUnpatchifyHead(nn.Module):
    def __init__(self, cfg: DiTConfig = DiTConfig()):
        super().__init__()
        self.cfg = cfg
        self.norm = nn.LayerNorm(cfg.dim)
        self.out = nn.Linear(cfg.dim, cfg.patch**2 * cfg.channels)

    def forward(self, tokens: Tensor[B, 64, 64]) -> Tensor[B, 3, 32, 32]:
        p, g = self.cfg.patch, self.cfg.size // self.cfg.patch
        x = self.out(self.norm(tokens)).view(-1, g, g, p, p, self.cfg.channels)
        x = torch.einsum("nhwpqc->nchpwq", x)
        return x.reshape(-1, self.cfg.channels, g * p, p * p)  # BUG


def wrong_ddpm_loss(
    clean: Tensor["B", 3, 16, 16],
    noise: Tensor["B", 3, 16, 16],
    t: Tensor["B", torch.int64],
    alpha: Tensor["T"],
    kernel: Tensor[3, 3, 3, 3],
) -> Tensor["B"]:
    level = alpha[t]  # BUG
    noisy = level.sqrt() * clean + (1 - level).sqrt() * noise  # HURTS
    return (F.conv2d(noisy, kernel, padding=1) - noise).pow(2).mean(dim=(1, 2, 3))


class WrongAffineCoupling(nn.Module):
    def __init__(self, dim=10, hidden=32):
        super().__init__()
        self.kept = dim // 2
        self.net = nn.Sequential(nn.Linear(self.kept, hidden), nn.Tanh(), nn.Linear(hidden, 2 * (dim - self.kept)))

    def forward(self, x: Tensor["B", 10]) -> tuple[Tensor["B", 10], Tensor["B"]]:
        a, b = x[:, : self.kept], x[:, self.kept :]
        shift, log_scale = self.net(a).chunk(2, dim=-1)
        log_scale = log_scale.tanh()
        y = torch.cat([a, b * log_scale.exp() + shift], dim=-1)
        return y, log_scale.mean()  # BUG


class WrongSqueeze2d(nn.Module):
    """Space to channels and back, as a Glow level does."""

    def __init__(self, channels=3, hidden=32):
        super().__init__()
        self.mix = nn.Conv2d(4 * channels, 4 * channels, 1)
        self.gain = nn.Parameter(torch.ones(1, 4 * channels, 1, 1))

    def forward(self, x: Tensor[B, 3, "2*H", "2*W"]) -> Tensor[B, 12, H, W]:
        b, c, h, w = x.shape
        x = x.reshape(b, c, h // 2, 2, w // 2, 2)
        x = x.permute(0, 1, 5, 3, 2, 4).reshape(b, h // 2, w // 2, c * 4)  # BUG
        return self.mix(x) * self.gain  # HURTS


def wrong_flow_matching(
    noise: Float[torch.Tensor, "batch tokens dim"],
    data: Float[torch.Tensor, "batch tokens dim"],
    t: Float[torch.Tensor, "batch"],
    field: Float[torch.Tensor, "dim dim"],
) -> Float[torch.Tensor, "batch"]:
    t = t[:, None, None]
    at = (1 - t) * noise + t * data
    velocity = torch.tanh(at @ field)
    error = (velocity - (data - noise)) ** 2
    return error.flatten(1).mean(dim=0)  # BUG


class WrongLatentAutoencoder(nn.Module):
    def __init__(self, channels=3, width=16, latent=4):
        super().__init__()
        self.down = nn.Sequential(
            nn.Conv2d(channels, width, 3, stride=2, padding=1),
            nn.SiLU(),
            nn.Conv2d(width, 2 * latent, 3, stride=2, padding=1),
        )
        self.up = nn.Sequential(
            nn.ConvTranspose2d(latent, width, 4, stride=2, padding=1),
            nn.SiLU(),
            nn.ConvTranspose2d(width, channels, 3, stride=2, padding=1),  # BUG
        )

    def forward(self, x: Tensor["B", 3, 32, 32]) -> tuple[Tensor["B", 3, 32, 32], Tensor["B", 4, 8, 8]]:
        mean, log_var = self.down(x).chunk(2, dim=1)
        z = mean + torch.randn_like(mean) * (0.5 * log_var).exp()
        return self.up(z), mean


class WrongGuidedSampler(nn.Module):
    """Classifier-free guidance: conditional and empty in one batch."""

    def __init__(self, dim=48, classes=10):
        super().__init__()
        self.label = nn.Embedding(classes + 1, dim)
        self.net = nn.Sequential(nn.Linear(2 * dim, dim), nn.SiLU(), nn.Linear(dim, dim))
        self.empty = classes

    def forward(self, x: Tensor["B", 48], label: Tensor["B", torch.int64], strength: float = 3.0) -> Tensor["B", 48]:
        both = torch.cat([x, x], dim=0)
        labels = torch.stack([label, torch.full_like(label, self.empty)])  # BUG
        c = self.label(labels)
        out = self.net(torch.cat([both, c], dim=-1))  # HURTS
        given, free = out.chunk(2)
        return free + strength * (given - free)


def wrong_kl_to_standard(mean: Tensor["B", "C", "H", "W"], log_var: Tensor["B", "C", "H", "W"]) -> Tensor["B"]:
    terms = mean**2 + log_var.exp() - 1 - log_var
    per_pixel = 0.5 * terms.sum(dim=0)  # BUG
    return per_pixel.flatten(1).sum(dim=1)


class WrongTimestepMlp(nn.Module):
    def __init__(self, dim=32, hidden=128):
        super().__init__()
        self.half = dim // 2
        self.net = nn.Sequential(nn.Linear(dim, hidden), nn.SiLU(), nn.Linear(hidden, hidden))
        self.shift = nn.Linear(hidden, 16)

    def features(self, t):
        rates = torch.exp(-math.log(10000.0) * torch.arange(self.half) / self.half)
        angle = t[:, None] * rates
        return torch.cat([angle.sin(), angle.cos()], dim=0)  # BUG

    def forward(self, t: Tensor["B"], x: Tensor["B", 16, "H", "W"]) -> Tensor["B", 16, "H", "W"]:
        emb = self.net(self.features(t))  # HURTS
        return x + self.shift(emb)[:, :, None, None]


PROGRAMS = [
    WrongSmallDiT,
    WrongUnpatchifyHead,
    wrong_ddpm_loss,
    WrongAffineCoupling,
    WrongSqueeze2d,
    wrong_flow_matching,
    WrongLatentAutoencoder,
    WrongGuidedSampler,
    wrong_kl_to_standard,
    WrongTimestepMlp,
]
