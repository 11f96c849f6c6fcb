"""Autoencoders, flows, diffusion and adversarial nets, all of them right."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from tessera import Tensor
from torch import nn


class VAERight(nn.Module):
    def __init__(self, inputs: int = 784, latent: int = 20) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(inputs, 400), nn.ReLU(), nn.Linear(400, 2 * latent))
        self.decoder = nn.Sequential(nn.Linear(latent, 400), nn.ReLU(), nn.Linear(400, inputs), nn.Sigmoid())

    def forward(self, x: Tensor["B", 784]) -> tuple[Tensor["B", 784], Tensor["B", 20], Tensor["B", 20]]:
        mu, logvar = self.encoder(x).chunk(2, dim=-1)
        z = mu + torch.randn_like(mu) * (0.5 * logvar).exp() if self.training else mu
        return self.decoder(z), mu, logvar


class ConvVAE(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.down = nn.Sequential(nn.Conv2d(1, 16, 4, 2, 1), nn.ReLU(), nn.Conv2d(16, 32, 4, 2, 1), nn.ReLU())
        self.mu, self.logvar = nn.Linear(32 * 49, 8), nn.Linear(32 * 49, 8)
        self.expand = nn.Linear(8, 32 * 7 * 7)
        self.up = nn.Sequential(
            nn.ConvTranspose2d(32, 16, 3, 2, 1, output_padding=1), nn.ReLU(), nn.ConvTranspose2d(16, 1, 4, 2, 1)
        )

    def encode(self, x: Tensor["B", 1, 28, 28]) -> tuple[Tensor["B", 8], Tensor["B", 8]]:
        h = self.down(x).flatten(1)
        return self.mu(h), self.logvar(h)

    def forward(self, x: Tensor["B", 1, 28, 28]) -> Tensor["B", 1, 28, 28]:
        mu, logvar = self.encode(x)
        z = torch.normal(mu, (logvar / 2).exp())
        return self.up(self.expand(z).unflatten(1, (32, 7, 7)))


def reparameterise_right(mu: Tensor["B", "Z"], logvar: Tensor["B", "Z"], samples: int = 8) -> Tensor[8, "B", "Z"]:
    return mu + torch.randn(samples, *mu.shape) * (0.5 * logvar).exp()


def elbo_right(
    x: Tensor["B", "D"], recon: Tensor["B", "D"], mu: Tensor["B", "Z"], logvar: Tensor["B", "Z"]
) -> tuple[Tensor["B"], Tensor["B"]]:
    likelihood = F.mse_loss(recon, x, reduction="none").sum(-1)
    kl = -0.5 * torch.sum(1 + logvar - mu**2 - logvar.exp(), dim=-1)
    return likelihood, kl


def time_embedding_right(t: Tensor["B"], dim: int = 64) -> Tensor["B", 64]:
    half = dim // 2
    freqs = torch.exp(-math.log(10000) * torch.arange(half, dtype=torch.float32) / half)
    args = t[:, None] * freqs[None]
    emb = torch.cat([args.cos(), args.sin()], dim=-1)
    if dim % 2:
        emb = torch.cat([emb, torch.zeros_like(emb[:, :1])], dim=-1)
    return emb


def sinusoid_outer_right(t: Tensor["B"], freqs: Tensor["F"]) -> Tensor["B", "2*F"]:
    args = torch.outer(t, freqs)
    return torch.stack([args.cos(), args.sin()], dim=-1).view(t.shape[0], -1)


def extract(values, t, like):
    return values.gather(0, t).reshape(t.shape[0], *((1,) * (like.dim() - 1)))


def add_noise_right(
    x: Tensor["B", 3, "H", "W"], t: Tensor["B", torch.int64], alphas: Tensor["T"]
) -> Tensor["B", 3, "H", "W"]:
    a = extract(alphas, t, x)
    return a.sqrt() * x + (1 - a).sqrt() * torch.randn_like(x)


class TimeMLPRight(nn.Module):
    def __init__(self, dim: int = 32) -> None:
        super().__init__()
        self.mlp = nn.Sequential(nn.SiLU(), nn.Linear(dim, 2 * dim))
        self.norm = nn.GroupNorm(8, dim)
        self.conv = nn.Conv2d(dim, dim, 3, padding=1)

    def forward(self, x: Tensor["B", 32, "H", "W"], emb: Tensor["B", 32] | None = None) -> Tensor["B", 32, "H", "W"]:
        h = self.norm(x)
        if emb is not None:
            scale, shift = self.mlp(emb)[..., None, None].chunk(2, dim=1)
            h = h * (scale + 1) + shift
        return x + self.conv(F.silu(h))


class DenoiserRight(nn.Module):
    def __init__(self, dim: int = 16) -> None:
        super().__init__()
        self.first = nn.Linear(2, dim)
        self.time = nn.Linear(1, dim)
        self.last = nn.Linear(dim, 2)

    def forward(self, x: Tensor["B", 2], t: Tensor["B"]) -> Tensor["B", 2]:
        return self.last(F.silu(self.first(x) + self.time(t.unsqueeze(-1))))


def ancestral_sampling(x: Tensor["B", "D"], w: Tensor["D", "D"], betas: Tensor["T"]) -> Tensor["B", "D"]:
    alphas = torch.cumprod(1 - betas, 0)
    for t in reversed(range(betas.shape[0])):
        eps = x @ w
        x = (x - betas[t] / (1 - alphas[t]).sqrt() * eps) / (1 - betas[t]).sqrt()
        if t > 0:
            x = x + betas[t].sqrt() * torch.randn_like(x)
    return x


def coupling_right(x: Tensor["B", "2*D"], w: Tensor["D", "2*D"]) -> tuple[Tensor["B", "2*D"], Tensor["B"]]:
    a, b = x.chunk(2, dim=-1)
    log_scale, shift = (a @ w).chunk(2, dim=-1)
    return torch.cat([a, b * log_scale.exp() + shift], dim=-1), log_scale.sum(-1)


def uneven_coupling(x: Tensor["B", "D+E"], w: Tensor["D", "E"]) -> Tensor["B", "D+E"]:
    d, e = w.shape
    a, b = x.split([d, e], dim=1)
    return torch.cat((b + a @ w, a), dim=1)


def gradient_penalty_right(real: Tensor["B", "C", "H", "W"], fake: Tensor["B", "C", "H", "W"]) -> Tensor["B"]:
    alpha = torch.rand(real.shape[0], 1, 1, 1)
    mixed = torch.lerp(real, fake, alpha)
    return (mixed.flatten(1).norm(dim=1) - 1) ** 2


class GeneratorRight(nn.Module):
    def __init__(self, latent: int = 16, classes: int = 10) -> None:
        super().__init__()
        self.label = nn.Embedding(classes, 8)
        self.net = nn.Sequential(
            nn.Linear(latent + 8, 64), nn.ReLU(), nn.Linear(64, 28 * 28), nn.Unflatten(1, (1, 28, 28))
        )

    def forward(self, z: Tensor["B", 16], y: Tensor["B", torch.int64]) -> Tensor["B", 1, 28, 28]:
        return self.net(torch.cat([z, self.label(y)], dim=1)).tanh()


def quantise_right(
    z: Tensor["B", "N", "D"], codebook: Tensor["K", "D"]
) -> tuple[Tensor["B", "N", "D"], Tensor["B", "N", torch.int64]]:
    index = (z[:, :, None] - codebook).square().sum(-1).argmin(-1)
    picked = F.embedding(index, codebook)
    return z + (picked - z).detach(), index


def cosine_betas_right(t: Tensor["T+1"]) -> Tensor["T"]:
    f = torch.cos((t + 0.008) / 1.008 * math.pi / 2) ** 2
    return (1 - f[1:] / f[:-1]).clamp(max=0.999)


def classifier_free_right(
    cond: Tensor["B", "D"], uncond: Tensor["B", "D"], w: Tensor["D", "D"], scale: float = 3.0
) -> Tensor["B", "D"]:
    a, b = (torch.cat([cond, uncond]) @ w).chunk(2)
    return b + scale * (a - b)


def minibatch_std(x: Tensor["B", "C", "H", "W"]) -> Tensor["B", "C+1", "H", "W"]:
    b, _, h, w = x.shape
    std = x.std(dim=0).mean()
    return torch.cat([x, std.expand(b, 1, h, w)], dim=1)


PROGRAMS = [
    VAERight,
    ConvVAE,
    reparameterise_right,
    elbo_right,
    time_embedding_right,
    sinusoid_outer_right,
    add_noise_right,
    TimeMLPRight,
    DenoiserRight,
    ancestral_sampling,
    coupling_right,
    uneven_coupling,
    gradient_penalty_right,
    GeneratorRight,
    quantise_right,
    cosine_betas_right,
    classifier_free_right,
    minibatch_std,
]
