"""Reinforcement learning, recommenders, diffusion, generative models, and annotations that are wrong themselves."""

import math
from typing import Optional, Tuple

import torch
import torch.nn.functional as F
from tessera import Tensor
from torch import nn


class WrongActorCritic(nn.Module):
    def __init__(self, obs: int = 17, actions: int = 6, hidden: int = 64) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(obs, hidden), nn.Tanh(), nn.Linear(hidden, hidden), nn.Tanh())
        self.actor = nn.Linear(hidden, actions)
        self.critic = nn.Linear(hidden, actions)  # BUG

    def forward(self, obs: Tensor["B", 17]) -> Tuple[Tensor["B", 6], Tensor["B"]]:
        h = self.body(obs)
        return self.actor(h), self.critic(h).squeeze(-1)


def wrong_td_target(
    reward: Tensor["B"], done: Tensor["B"], next_q: Tensor["B", "A"], gamma: float = 0.99
) -> Tensor["B"]:
    best = next_q.max(dim=1, keepdim=True).values  # BUG
    return reward + gamma * (1 - done) * best


def wrong_gae(rewards: Tensor["T", "B"], values: Tensor["T+1", "B"], lam: float = 0.95) -> Tensor["T", "B"]:
    delta = rewards + 0.99 * values[1:] - values  # BUG
    out = torch.zeros_like(rewards)
    last = torch.zeros_like(rewards[0])
    for t in reversed(range(rewards.shape[0])):
        last = delta[t] + 0.99 * lam * last
        out[t] = last
    return out


class WrongDueling(nn.Module):
    def __init__(self, features=128, actions=4):
        super().__init__()
        self.value = nn.Linear(features, 1)
        self.advantage = nn.Linear(features, actions)

    def forward(self, x: Tensor["B", 128]) -> Tensor["B", 4]:
        v, a = self.value(x), self.advantage(x)
        return v + a - a.mean(dim=1)  # BUG


class WrongFactorisation(nn.Module):
    def __init__(self, fields=20, features=1000, dim=8):
        super().__init__()
        self.embed = nn.Embedding(features, dim)
        self.deep = nn.Sequential(nn.Linear(fields, 64), nn.ReLU(), nn.Linear(64, 1))  # BUG

    def forward(self, ids: Tensor["B", 20, torch.int64]) -> Tensor["B"]:
        e = self.embed(ids)
        pairs = 0.5 * (e.sum(1) ** 2 - (e**2).sum(1)).sum(1)
        return pairs + self.deep(e.flatten(1)).squeeze(-1)  # HURTS


class WrongNeuralCF(nn.Module):
    def __init__(self, users=100, items=200, dim=16, widths=(64, 32, 8)):
        super().__init__()
        self.users, self.items = nn.Embedding(users, dim), nn.Embedding(items, dim)
        layers, size = [], dim  # BUG
        for width in widths:
            layers += [nn.Linear(size, width), nn.ReLU()]
            size = width
        self.mlp = nn.Sequential(*layers)
        self.out = nn.Linear(size, 1)

    def forward(self, user: Tensor["B", torch.int64], item: Tensor["B", torch.int64]) -> Tensor["B"]:
        both = torch.cat([self.users(user), self.items(item)], dim=-1)
        return self.out(self.mlp(both)).squeeze(-1)  # HURTS


def wrong_timestep_embedding(t: Tensor["B"], dim: int = 64) -> Tensor["B", 64]:
    half = dim // 2
    freqs = torch.exp(-math.log(10000) * torch.arange(half) / half)
    args = t[None] * freqs[:, None]  # BUG
    return torch.cat([args.sin(), args.cos()], dim=-1)


def wrong_add_noise(
    x: Tensor["B", 3, "H", "W"], noise: Tensor["B", 3, "H", "W"], t: Tensor["B", torch.int64], table: Tensor[1000]
) -> Tensor["B", 3, "H", "W"]:
    alpha = table[t].view(-1, 1)  # BUG
    return alpha.sqrt() * x + (1 - alpha).sqrt() * noise  # HURTS


class WrongFiLM(nn.Module):
    def __init__(self, condition=40, channels=24):
        super().__init__()
        self.film = nn.Linear(condition, 2 * channels)
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor["B", 24, "H", "W"], c: Tensor["B", 40]) -> Tensor["B", 24, "H", "W"]:
        scale, shift = self.film(c)[:, :, None].chunk(2, dim=1)  # BUG
        return self.conv(x) * (1 + scale) + shift  # HURTS


class WrongVectorQuantiser(nn.Module):
    def __init__(self, codes=64, dim=32):
        super().__init__()
        self.book = nn.Embedding(codes, dim)

    def forward(self, z: Tensor["B", 32, "H", "W"]) -> Tensor["B", 32, "H", "W"]:
        flat = z.permute(0, 2, 3, 1).reshape(-1, 32)
        distance = torch.cdist(flat, self.book.weight)
        quantised = self.book(distance.argmin(dim=1))
        b, _, h, w = z.shape
        return quantised.view(b, h, w, 32).permute(0, 1, 2, 3)  # BUG


def wrong_flow_coupling(x: Tensor["B", 10], w: Tensor[5, 10]) -> Tuple[Tensor["B", 10], Tensor["B"]]:
    a, b = x.chunk(2, dim=1)
    shift, scale = (a @ w).chunk(2, dim=1)
    return torch.cat([a, b * scale.exp() + shift], dim=1), scale.sum(1, keepdim=True)  # BUG


def wrong_declared_heads(
    x: Tensor["B", "S", "H*D"],
    w: Tensor["H", "D", "E"],
) -> Tensor["B", "H", "S", "E"]:  # BUG
    b, s, _ = x.shape
    h, d, _ = w.shape
    return torch.einsum("bshd,hde->bshe", x.view(b, s, h, d), w)


def wrong_declared_joint(
    a: Tensor["B", "N"],
    b: Tensor["M", "B"],  # BUG
) -> Tensor["B", "N+M"]:
    return torch.cat([a, b], dim=1)  # HURTS


def wrong_declared_table(
    ids: Tensor["B", "S", torch.int64],
    table: Tensor["V", 32],  # BUG
    out: Tensor[64, 10],
) -> Tensor["B", "S", 10]:
    return F.embedding(ids, table) @ out  # HURTS


class WrongDeclaredClassifier(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(nn.Linear(30, 50), nn.ReLU(), nn.Linear(50, 50), nn.ReLU())
        self.classes = nn.Linear(50, 7)

    def forward(self, x: Tensor["B", 30]) -> Tensor["B", 10]:  # BUG
        return self.classes(self.features(x))


PROGRAMS = [
    WrongActorCritic,
    wrong_td_target,
    wrong_gae,
    WrongDueling,
    WrongFactorisation,
    WrongNeuralCF,
    wrong_timestep_embedding,
    wrong_add_noise,
    WrongFiLM,
    WrongVectorQuantiser,
    wrong_flow_coupling,
    wrong_declared_heads,
    wrong_declared_joint,
    wrong_declared_table,
    WrongDeclaredClassifier,
]

SIZES = {}
