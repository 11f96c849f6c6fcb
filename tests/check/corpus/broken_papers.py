"""Small pieces of papers: written down once, run never."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Optional, Tuple

import torch
import torch.nn.functional as F
from jaxtyping import Float
from tessera import Tensor
from torch import nn


class WrongStackedEmbeddings(nn.Module):
    def __init__(self, cards=(10, 20, 30), dim=6, out=16):
        super().__init__()
        self.tables = nn.ModuleList([nn.Embedding(c, dim) for c in cards])
        self.out = nn.Linear(dim * len(cards) + 1, out)  # BUG

    def forward(self, ids: Tensor["B", 3, torch.int64]) -> Tensor["B", 16]:
        parts = [table(ids[:, i]) for i, table in enumerate(self.tables)]
        return self.out(torch.cat(parts, dim=-1))  # HURTS


class WrongTalking(nn.Module):
    def __init__(self, heads=6):
        super().__init__()
        self.mix = nn.Linear(heads, heads, bias=False)

    def forward(self, scores: Tensor["B", 6, "S", "T"]) -> Tensor["B", 6, "S", "T"]:
        mixed = self.mix(scores.permute(0, 2, 1, 3))  # BUG
        return mixed.permute(0, 3, 1, 2).softmax(dim=-1)


class WrongHyper(nn.Module):
    def __init__(self, task=9, inside=11, outside=13):
        super().__init__()
        self.inside, self.outside = inside, outside
        self.weight = nn.Linear(task, inside + outside)  # BUG
        self.bias = nn.Linear(task, outside)

    def forward(self, x: Tensor["B", "N", 11], task: Tensor["B", 9]) -> Tensor["B", "N", 13]:
        w = self.weight(task).view(-1, self.inside, self.outside)  # HURTS
        return x @ w + self.bias(task)[:, None]


def wrong_moving_average(x: Tensor["B", "T", "D"], alpha: float = 0.9) -> Tensor["B", "T", "D"]:
    state = x[0]  # BUG
    out = [state]
    for t in range(1, x.shape[1]):
        state = alpha * state + (1 - alpha) * x[:, t]  # HURTS
        out.append(state)
    return torch.stack(out, dim=1)


def wrong_selective_scan(
    u: Tensor["B", "L", "D"], a: Tensor["D", "N"], b: Tensor["B", "L", "N"]
) -> Tensor["B", "D", "N"]:
    state = u.new_zeros(u.shape[0], *a.shape)
    for t in range(u.shape[1]):
        drive = torch.einsum("bd,bn->bnd", u[:, t], b[:, t])  # BUG
        state = state * a.exp() + drive  # HURTS
    return state


def wrong_router_loss(logits: Tensor["T", "E"], picked: Tensor["T", torch.int64]) -> Tensor[()]:
    e = logits.shape[1]
    used = F.one_hot(picked.clamp(0, 1), e).float().mean(1)  # BUG
    return e * (used * logits.softmax(-1).mean(0)).sum()  # HURTS


class WrongControlBranch(nn.Module):
    def __init__(self, base=16):
        super().__init__()
        self.inp = nn.Conv2d(4, base, 3, padding=1)
        self.hint = nn.Sequential(
            nn.Conv2d(3, base, 3, padding=1),
            nn.SiLU(),
            nn.Conv2d(base, base, 3, stride=2, padding=1),  # BUG
        )
        self.out = nn.Conv2d(base, 4, 3, padding=1)

    def forward(self, x: Tensor["B", 4, 32, 32], hint: Tensor["B", 3, 32, 32]) -> Tensor["B", 4, 32, 32]:
        return self.out(self.inp(x) + self.hint(hint))  # HURTS


@dataclass
class Rays:
    origin: Tensor["R", 3]
    direction: Tensor["R", 3]


def wrong_points_along(rays: Rays, depth: Tensor["R", "S"]) -> Tensor["R", "S", 3]:
    return rays.origin[:, None] + depth[..., None] * rays.direction  # BUG


def wrong_composite(density: Tensor["R", "S"], color: Tensor["R", "S", 3], delta: Tensor["R", "S"]) -> Tensor["R", 3]:
    alpha = 1 - torch.exp(-density * delta)
    through = torch.cumprod(torch.cat([torch.ones_like(alpha[:, :1]), 1 - alpha], dim=1), dim=1)  # BUG
    return ((alpha * through)[..., None] * color).sum(dim=1)  # HURTS


class WrongTimeConditioned(nn.Module):
    def __init__(self, channels=20, time=50):
        super().__init__()
        self.norm = nn.GroupNorm(4, channels)
        self.time = nn.Linear(time, 2 * channels)  # BUG
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor["B", 20, "H", "W"], t: Tensor["B", 50]) -> Tensor["B", 20, "H", "W"]:
        h = self.conv(F.silu(self.norm(x)))
        return x + h + self.time(t)[:, :, None, None]  # HURTS


def wrong_retrieval(
    q: Float[torch.Tensor, "b d"], docs: Float[torch.Tensor, "n d"], k: int = 4
) -> Tuple[Float[torch.Tensor, "b 4"], Float[torch.Tensor, "b 4 d"]]:
    scores = q @ docs.mT
    best = scores.topk(k, dim=-1)
    return best.values, docs[best.indices[0]]  # BUG


def wrong_gumbel_pick(logits: Tensor["B", "K"], codes: Tensor["K", "D"], noise: Tensor["B", "K"]) -> Tensor["B", "D"]:
    soft = (logits + noise).softmax(dim=-1)
    return (soft * codes).sum(-1)  # BUG


class WrongTeacher(nn.Module):
    def __init__(self, dim=24, levels=3):
        super().__init__()
        self.levels = nn.ModuleList()
        size = dim
        for _ in range(levels):
            self.levels.append(nn.Linear(size, size // 2))
            size = size // 2
        self.out = nn.Linear(dim, 5)  # BUG

    def forward(self, x: Tensor["B", 24]) -> Tensor["B", 5]:
        for level in self.levels:
            x = F.relu(level(x))
        return self.out(x)  # HURTS


def wrong_swap_halves(x: Tensor["B", "2*N"]) -> Tensor["B", "2*N"]:
    n = x.shape[1] // 2
    return torch.cat([x[:, n:], x[:, n:], x[:, :n]], dim=1)  # BUG


def wrong_kernel_matrix(x: Tensor["N", "D"], y: Tensor["M", "D"], scale: Tensor["D"]) -> Tensor["N", "M"]:
    d = (x[:, None] - y[None]) / scale
    return torch.exp(-0.5 * d.pow(2).sum(1))  # BUG


class WrongReturns(nn.Module):
    def __init__(self, obs=10, atoms=21, actions=3):
        super().__init__()
        self.atoms, self.actions = atoms, actions
        self.body = nn.Linear(obs, 32)
        self.head = nn.Linear(32, atoms * actions)
        self.register_buffer("support", torch.linspace(-1, 1, atoms))

    def forward(self, x: Tensor["B", 10]) -> Tensor["B", 3]:
        p = self.head(F.relu(self.body(x))).view(-1, self.atoms, self.actions).softmax(-1)  # BUG
        return (p * self.support).sum(-1)  # HURTS


def wrong_beam_step(
    scores: Tensor["B", "K"],
    logp: Tensor["B", "K", "V"],
    beam: Tensor["B", "T", "K", torch.int64],  # BUG
) -> Tensor["B", "K", "T", torch.int64]:
    total = (scores[..., None] + logp).flatten(1)
    best = total.topk(scores.shape[1], dim=1).indices // logp.shape[2]
    return beam.gather(1, best[..., None].expand(-1, -1, beam.shape[2]))  # HURTS


PROGRAMS = [
    WrongStackedEmbeddings,
    WrongTalking,
    WrongHyper,
    wrong_moving_average,
    wrong_selective_scan,
    wrong_router_loss,
    WrongControlBranch,
    wrong_points_along,
    wrong_composite,
    WrongTimeConditioned,
    wrong_retrieval,
    wrong_gumbel_pick,
    WrongTeacher,
    wrong_swap_halves,
    wrong_kernel_matrix,
    WrongReturns,
    wrong_beam_step,
]

SIZES = {
    "wrong_retrieval": {"n": (9, 11, 8)},
}
