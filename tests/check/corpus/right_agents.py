"""Reinforcement learning, recommenders, diffusion, generative models, and annotations that are wrong themselves."""

import math
from typing import Optional, Tuple

import torch
import torch.nn.functional as F
from tessera import Tensor
from torch import nn


class ActorCriticAgain(nn.Module):
    def __init__(self, obs: int = 17, actions: int = 6, hidden: int = 64) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(obs, hidden), nn.Tanh(), nn.Linear(hidden, hidden), nn.Tanh())
        self.actor = nn.Linear(hidden, actions)
        self.critic = nn.Linear(hidden, 1)

    def forward(self, obs: Tensor["B", 17]) -> Tuple[Tensor["B", 6], Tensor["B"]]:
        h = self.body(obs)
        return self.actor(h), self.critic(h).squeeze(-1)


def td_target(reward: Tensor["B"], done: Tensor["B"], next_q: Tensor["B", "A"], gamma: float = 0.99) -> Tensor["B"]:
    best = next_q.max(dim=1).values
    return reward + gamma * (1 - done) * best


def gae_again(rewards: Tensor["T", "B"], values: Tensor["T+1", "B"], lam: float = 0.95) -> Tensor["T", "B"]:
    delta = rewards + 0.99 * values[1:] - values[:-1]
    out = torch.zeros_like(rewards)
    last = torch.zeros_like(rewards[0])
    for t in reversed(range(rewards.shape[0])):
        last = delta[t] + 0.99 * lam * last
        out[t] = last
    return out


class DuelingAgain(nn.Module):
    def __init__(self, features=128, actions=4):
        super().__init__()
        self.value = nn.Linear(features, 1)
        self.advantage = nn.Linear(features, actions)

    def forward(self, x: Tensor["B", 128]) -> Tensor["B", 4]:
        v, a = self.value(x), self.advantage(x)
        return v + a - a.mean(dim=1, keepdim=True)


class Factorisation(nn.Module):
    def __init__(self, fields=20, features=1000, dim=8):
        super().__init__()
        self.embed = nn.Embedding(features, dim)
        self.deep = nn.Sequential(nn.Linear(fields * dim, 64), nn.ReLU(), nn.Linear(64, 1))

    def forward(self, ids: Tensor["B", 20, torch.int64]) -> Tensor["B"]:
        e = self.embed(ids)
        pairs = 0.5 * (e.sum(1) ** 2 - (e**2).sum(1)).sum(1)
        return pairs + self.deep(e.flatten(1)).squeeze(-1)


class NeuralCF(nn.Module):
    def __init__(self, users=100, items=200, dim=16, widths=(64, 32, 8)):
        super().__init__()
        self.users, self.items = nn.Embedding(users, dim), nn.Embedding(items, dim)
        layers, size = [], 2 * dim
        for width in widths:
            layers += [nn.Linear(size, width), nn.ReLU()]
            size = width
        self.mlp = nn.Sequential(*layers)
        self.out = nn.Linear(size, 1)

    def forward(self, user: Tensor["B", torch.int64], item: Tensor["B", torch.int64]) -> Tensor["B"]:
        both = torch.cat([self.users(user), self.items(item)], dim=-1)
        return self.out(self.mlp(both)).squeeze(-1)


def timestep_embedding(t: Tensor["B"], dim: int = 64) -> Tensor["B", 64]:
    half = dim // 2
    freqs = torch.exp(-math.log(10000) * torch.arange(half) / half)
    args = t[:, None] * freqs[None]
    return torch.cat([args.sin(), args.cos()], dim=-1)


def add_noise_again(
    x: Tensor["B", 3, "H", "W"], noise: Tensor["B", 3, "H", "W"], t: Tensor["B", torch.int64], table: Tensor[1000]
) -> Tensor["B", 3, "H", "W"]:
    alpha = table[t].view(-1, 1, 1, 1)
    return alpha.sqrt() * x + (1 - alpha).sqrt() * noise


class FiLM(nn.Module):
    def __init__(self, condition=40, channels=24):
        super().__init__()
        self.film = nn.Linear(condition, 2 * channels)
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor["B", 24, "H", "W"], c: Tensor["B", 40]) -> Tensor["B", 24, "H", "W"]:
        scale, shift = self.film(c)[:, :, None, None].chunk(2, dim=1)
        return self.conv(x) * (1 + scale) + shift


class VectorQuantiser(nn.Module):
    def __init__(self, codes=64, dim=32):
        super().__init__()
        self.book = nn.Embedding(codes, dim)

    def forward(self, z: Tensor["B", 32, "H", "W"]) -> Tensor["B", 32, "H", "W"]:
        flat = z.permute(0, 2, 3, 1).reshape(-1, 32)
        distance = torch.cdist(flat, self.book.weight)
        quantised = self.book(distance.argmin(dim=1))
        b, _, h, w = z.shape
        return quantised.view(b, h, w, 32).permute(0, 3, 1, 2)


def flow_coupling(x: Tensor["B", 10], w: Tensor[5, 10]) -> Tuple[Tensor["B", 10], Tensor["B"]]:
    a, b = x.chunk(2, dim=1)
    shift, scale = (a @ w).chunk(2, dim=1)
    return torch.cat([a, b * scale.exp() + shift], dim=1), scale.sum(1)


def declared_heads(x: Tensor["B", "S", "H*D"], w: Tensor["H", "D", "E"]) -> Tensor["B", "S", "H", "E"]:
    b, s, _ = x.shape
    h, d, _ = w.shape
    return torch.einsum("bshd,hde->bshe", x.view(b, s, h, d), w)


def declared_joint(
    a: Tensor["B", "N"],
    b: Tensor["B", "M"],
) -> Tensor["B", "N+M"]:
    return torch.cat([a, b], dim=1)


def declared_table(
    ids: Tensor["B", "S", torch.int64],
    table: Tensor["V", 64],
    out: Tensor[64, 10],
) -> Tensor["B", "S", 10]:
    return F.embedding(ids, table) @ out


class DeclaredClassifier(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(nn.Linear(30, 50), nn.ReLU(), nn.Linear(50, 50), nn.ReLU())
        self.classes = nn.Linear(50, 7)

    def forward(self, x: Tensor["B", 30]) -> Tensor["B", 7]:
        return self.classes(self.features(x))


PROGRAMS = [
    ActorCriticAgain,
    td_target,
    gae_again,
    DuelingAgain,
    Factorisation,
    NeuralCF,
    timestep_embedding,
    add_noise_again,
    FiLM,
    VectorQuantiser,
    flow_coupling,
    declared_heads,
    declared_joint,
    declared_table,
    DeclaredClassifier,
]

SIZES = {}
