"""Autoencoders, flows, diffusion and adversarial nets, each with one bug of shape."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from tessera import Tensor
from torch import nn


class VAE(nn.Module):
    def __init__(self, inputs: int = 784, latent: int = 20) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(inputs, 400), nn.ReLU(), nn.Linear(400, latent))  # BUG
        self.decoder = nn.Sequential(nn.Linear(latent, 400), nn.ReLU(), nn.Linear(400, inputs), nn.Sigmoid())

    def forward(self, x: Tensor["B", 784]) -> tuple[Tensor["B", 784], Tensor["B", 20], Tensor["B", 20]]:
        mu, logvar = self.encoder(x).chunk(2, dim=-1)
        z = mu + torch.randn_like(mu) * (0.5 * logvar).exp()
        return self.decoder(z), mu, logvar  # HURTS


def reparameterise(mu: Tensor["B", "Z"], logvar: Tensor["B", "Z"], samples: int = 8) -> Tensor["B", 8, "Z"]:
    noise = torch.randn(samples, mu.shape[0], mu.shape[1])  # BUG
    return mu[:, None] + noise * (0.5 * logvar).exp()[:, None]  # HURTS


def elbo(x: Tensor["B", "D"], recon: Tensor["B", "D"], mu: Tensor["B", "Z"], logvar: Tensor["B", "Z"]) -> Tensor["B"]:
    likelihood = F.mse_loss(recon, x, reduction="none").sum(-1)
    kl = -0.5 * (1 + logvar - mu**2 - logvar.exp())  # BUG
    return likelihood + kl  # HURTS


def time_embedding(t: Tensor["B"], dim: int = 64) -> Tensor["B", 64]:
    half = dim // 2
    freqs = torch.exp(-math.log(10000) * torch.arange(half) / half)
    args = t[:, None] * freqs[None]
    return torch.cat([args.cos(), args.sin()], dim=0)  # BUG


def sinusoid_outer(t: Tensor["B"], freqs: Tensor["F"]) -> Tensor["B", "2*F"]:
    args = t * freqs  # BUG
    return torch.cat([args.cos(), args.sin()], dim=-1)


def add_noise(
    x: Tensor["B", 3, "H", "W"], t: Tensor["B", torch.int64], alphas: Tensor["T"]
) -> Tensor["B", 3, "H", "W"]:
    a = alphas[t]  # BUG
    return a.sqrt() * x + (1 - a).sqrt() * torch.randn_like(x)  # HURTS


class TimeMLP(nn.Module):
    def __init__(self, dim: int = 32) -> None:
        super().__init__()
        self.mlp = nn.Sequential(nn.Linear(dim, 4 * dim), nn.SiLU(), nn.Linear(4 * dim, 2 * dim))
        self.norm = nn.GroupNorm(8, dim)
        self.conv = nn.Conv2d(dim, dim, 3, padding=1)

    def forward(self, x: Tensor["B", 32, "H", "W"], emb: Tensor["B", 32]) -> Tensor["B", 32, "H", "W"]:
        scale, shift = self.mlp(emb)[:, :, None, None].chunk(2, dim=2)  # BUG
        return self.conv(F.silu(self.norm(x) * (1 + scale) + shift))  # HURTS


class Denoiser(nn.Module):
    def __init__(self, dim: int = 16) -> None:
        super().__init__()
        self.first = nn.Linear(2, dim)
        self.time = nn.Linear(1, dim)
        self.last = nn.Linear(dim, 2)

    def forward(self, x: Tensor["B", 2], t: Tensor["B"]) -> Tensor["B", 2]:
        h = self.first(x) + self.time(t)  # BUG
        return self.last(F.silu(h))


def coupling(x: Tensor["B", "2*D"], w: Tensor["D", "2*D"]) -> tuple[Tensor["B", "2*D"], Tensor["B"]]:
    a, b = x.chunk(2, dim=-1)
    log_scale, shift = (a @ w).chunk(2, dim=-1)
    y = torch.cat([a, b * log_scale.exp() + shift], dim=-1)
    return y, log_scale.sum()  # BUG


def gradient_penalty(real: Tensor["B", "C", "H", "W"], fake: Tensor["B", "C", "H", "W"]) -> Tensor["B"]:
    alpha = torch.rand(real.shape[0], 1, 1)  # BUG
    mixed = alpha * real + (1 - alpha) * fake  # HURTS
    return (mixed.flatten(1).norm(dim=1) - 1) ** 2


class Generator(nn.Module):
    def __init__(self, latent: int = 16, classes: int = 10) -> None:
        super().__init__()
        self.label = nn.Embedding(classes, 8)
        self.net = nn.Sequential(nn.Linear(latent + classes, 64), nn.ReLU(), nn.Linear(64, 28 * 28))  # BUG

    def forward(self, z: Tensor["B", 16], y: Tensor["B", torch.int64]) -> Tensor["B", 1, 28, 28]:
        joined = torch.cat([z, self.label(y)], dim=1)
        return self.net(joined).view(-1, 1, 28, 28)  # HURTS


def quantise(
    z: Tensor["B", "N", "D"], codebook: Tensor["K", "D"]
) -> tuple[Tensor["B", "N", "D"], Tensor["B", "N", torch.int64]]:
    distance = torch.cdist(z, codebook)
    index = distance.argmin(dim=1)  # BUG
    return codebook[index], index  # HURTS


def cosine_betas(t: Tensor["T+1"]) -> Tensor["T"]:
    f = torch.cos((t + 0.008) / 1.008 * math.pi / 2) ** 2
    return 1 - f / f[:-1]  # BUG


def classifier_free(
    cond: Tensor["B", "D"], uncond: Tensor["B", "D"], w: Tensor["D", "D"], scale: float = 3.0
) -> Tensor["B", "D"]:
    both = torch.cat([cond, uncond]) @ w
    a, b = both.chunk(2, dim=1)  # BUG
    return b + scale * (a - b)  # HURTS


PROGRAMS = [
    VAE,
    reparameterise,
    elbo,
    time_embedding,
    sinusoid_outer,
    add_noise,
    TimeMLP,
    Denoiser,
    coupling,
    gradient_penalty,
    Generator,
    quantise,
    cosine_betas,
    classifier_free,
]
