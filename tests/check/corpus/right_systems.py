"""Agents, graphs, diffusion, recommenders, sound, data."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import nn

import tessera as ts
from tessera import Tensor

N, E, T, D = ts.dims("N E T D")


@dataclass
class Rollout:
    observations: Tensor["T", "N", 17]
    actions: Tensor["T", "N", 6]
    rewards: Tensor["T", "N"]
    last: Tensor["N", 17]


class Critic(nn.Module):
    def __init__(self, observation=17, hidden=64):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(observation, hidden), nn.Tanh(), nn.Linear(hidden, 1))

    def values(self, x):
        return self.net(x).squeeze(-1)

    def forward(self, rollout: Rollout) -> Tensor["T", "N"]:
        now = self.values(rollout.observations)
        following = torch.cat([now[1:], self.values(rollout.last)[None]])
        return rollout.rewards + 0.99 * following - now


class SoftActorCritic(nn.Module):
    def __init__(self, state=11, action=3, hidden=128):
        super().__init__()
        self.q1 = nn.Sequential(nn.Linear(state + action, hidden), nn.ReLU(), nn.Linear(hidden, 1))
        self.q2 = nn.Sequential(nn.Linear(state + action, hidden), nn.ReLU(), nn.Linear(hidden, 1))

    def forward(self, states: Tensor["B", 11], actions: Tensor["B", 3]) -> Tensor["B"]:
        pair = torch.cat([states, actions], dim=-1)
        return torch.minimum(self.q1(pair), self.q2(pair)).squeeze(-1)


class GraphIsomorphism(nn.Module):
    def __init__(self, inputs=9, hidden=32, layers=3, classes=2):
        super().__init__()
        self.epsilon = nn.Parameter(torch.zeros(layers))
        self.mlps = nn.ModuleList()
        for layer in range(layers):
            self.mlps.append(
                nn.Sequential(nn.Linear(inputs if layer == 0 else hidden, hidden), nn.ReLU(), nn.Linear(hidden, hidden))
            )
        self.readout = nn.Linear(hidden, classes)

    def forward(self, x: Tensor[N, 9], edges: Tensor[2, E, torch.int64]) -> Tensor[2]:
        for layer, mlp in enumerate(self.mlps):
            received = torch.zeros_like(x).index_add(0, edges[1], x[edges[0]])
            x = mlp((1 + self.epsilon[layer]) * x + received)
        return self.readout(x.sum(dim=0))


class TimeEmbedding(nn.Module):
    def __init__(self, dim=64, out=128):
        super().__init__()
        self.dim = dim
        self.mlp = nn.Sequential(nn.Linear(dim, out), nn.SiLU(), nn.Linear(out, out))

    def forward(self, t: Tensor["B"]) -> Tensor["B", 128]:
        rates = torch.exp(-9.2 * torch.arange(self.dim // 2) / (self.dim // 2))
        angles = t[:, None] * rates[None, :]
        return self.mlp(torch.cat([angles.sin(), angles.cos()], dim=-1))


class DenoisingBlock(nn.Module):
    def __init__(self, channels=32, time=128):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        self.modulate = nn.Linear(time, 2 * channels)

    def forward(self, x: Tensor["B", 32, "H", "W"], t: Tensor["B", 128]) -> Tensor["B", 32, "H", "W"]:
        scale, shift = self.modulate(F.silu(t))[:, :, None, None].chunk(2, dim=1)
        h = self.conv1(F.silu(x))
        h = F.silu(h) * (1 + scale) + shift
        return x + self.conv2(h)


def noise_to(
    x0: Float[torch.Tensor, "b c h w"],
    noise: Float[torch.Tensor, "b c h w"],
    t: Int[torch.Tensor, "b"],
    alphas: Float[torch.Tensor, "steps"],
) -> Float[torch.Tensor, "b c h w"]:
    cumulative = alphas.cumprod(dim=0)
    kept = cumulative.gather(0, t).view(-1, 1, 1, 1)
    return kept.sqrt() * x0 + (1 - kept).sqrt() * noise


class WideAndDeep(nn.Module):
    def __init__(self, sizes=(100, 50, 20), dim=12, numeric=5):
        super().__init__()
        self.tables = nn.ModuleList([nn.Embedding(size, dim) for size in sizes])
        self.deep = nn.Sequential(nn.Linear(len(sizes) * dim + numeric, 64), nn.ReLU(), nn.Linear(64, 1))
        self.wide = nn.Linear(numeric, 1)

    def forward(self, features: dict[str, Tensor["B", torch.int64]], numbers: Tensor["B", 5]) -> Tensor["B"]:
        names = ("user", "item", "shop")
        embedded = [table(features[name]) for name, table in zip(names, self.tables)]
        deep = self.deep(torch.cat([*embedded, numbers], dim=-1))
        return (deep + self.wide(numbers)).squeeze(-1)


def bpr_loss(
    users: Float[torch.Tensor, "u d"], items: Float[torch.Tensor, "i d"], triples: Int[torch.Tensor, "n 3"]
) -> Float[torch.Tensor, ""]:
    user, good, bad = triples.unbind(dim=1)
    better = (users[user] * items[good]).sum(-1) - (users[user] * items[bad]).sum(-1)
    return -F.logsigmoid(better).mean()


class SpeakerEncoder(nn.Module):
    def __init__(self, mels=40, dim=64):
        super().__init__()
        self.frames = nn.Sequential(
            nn.Conv1d(mels, 128, 5, padding=2),
            nn.ReLU(),
            nn.Conv1d(128, 128, 3, padding=2, dilation=2),
            nn.ReLU(),
        )
        self.attention = nn.Conv1d(128, 1, 1)
        self.embed = nn.Linear(2 * 128, dim)

    def forward(self, mel: Tensor["B", 40, "T"]) -> Tensor["B", 64]:
        x = self.frames(mel)
        weight = self.attention(x).softmax(dim=-1)
        mean = (weight * x).sum(dim=-1)
        deviation = ((weight * (x - mean.unsqueeze(-1)) ** 2).sum(dim=-1) + 1e-5).sqrt()
        return F.normalize(self.embed(torch.cat([mean, deviation], dim=-1)), dim=-1)


def make_windows(
    series: Tensor[T, D], past: int = 12, ahead: int = 4
) -> tuple[Tensor["T-15", 12, D], Tensor["T-15", 4, D]]:
    every = series.unfold(0, past + ahead, 1)
    past_part, future = every[:, :, :past], every[:, :, past:]
    return past_part.transpose(1, 2), future.transpose(1, 2)


PROGRAMS = [
    Critic,
    SoftActorCritic,
    GraphIsomorphism,
    TimeEmbedding,
    DenoisingBlock,
    noise_to,
    WideAndDeep,
    bpr_loss,
    SpeakerEncoder,
    make_windows,
]
SIZES = {"make_windows": {"T": (40, 31, 52)}}
