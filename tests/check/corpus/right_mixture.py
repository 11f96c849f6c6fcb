"""Agents, graphs, geometry, recommenders, experts and what lies between."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple, Optional

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import nn

import tessera as ts
from tessera import Tensor


class RecurrentPolicy(nn.Module):
    def __init__(self, observation=10, hidden=48, actions=5):
        super().__init__()
        self.encode = nn.Linear(observation, hidden)
        self.core = nn.LSTM(hidden, hidden)
        self.policy = nn.Linear(hidden, actions)
        self.value = nn.Linear(hidden, 1)

    def forward(self, seen: Tensor["T", "B", 10]) -> tuple[Tensor["T", "B", 5], Tensor["T", "B"]]:
        x = F.elu(self.encode(seen))
        out, _ = self.core(x)
        logits = self.policy(out)
        return logits, self.value(out).squeeze(-1)


class Transition(NamedTuple):
    state: Tensor["B", 4, 84, 84]
    action: Tensor["B", torch.int64]
    reward: Tensor["B"]


class AtariQ(nn.Module):
    def __init__(self, actions=6):
        super().__init__()
        self.conv = nn.Sequential(
            nn.Conv2d(4, 32, 8, stride=4),
            nn.ReLU(),
            nn.Conv2d(32, 64, 4, stride=2),
            nn.ReLU(),
            nn.Conv2d(64, 64, 3, stride=1),
            nn.ReLU(),
            nn.Flatten(),
        )
        self.head = nn.Sequential(
            nn.Linear(64 * 7 * 7, 512),
            nn.ReLU(),
            nn.Linear(512, actions),
        )

    def forward(self, step: Transition) -> Tensor["B"]:
        q = self.head(self.conv(step.state / 255.0))
        return q.gather(1, step.action[:, None]).squeeze(1) - step.reward


def v_trace(
    rewards: Float[torch.Tensor, "t b"],
    values: Float[torch.Tensor, "t b"],
    final: Float[torch.Tensor, "b"],
    rho: Float[torch.Tensor, "t b"],
) -> Float[torch.Tensor, "t b"]:
    following = torch.cat([values[1:], final[None]])
    delta = rho.clamp(max=1.0) * (rewards + 0.99 * following - values)
    return values + delta.flip(0).cumsum(dim=0).flip(0)


class EdgeNetwork(nn.Module):
    """Messages by a matrix of each edge."""

    def __init__(self, node=24, edge=5):
        super().__init__()
        self.node = node
        self.matrix = nn.Sequential(nn.Linear(edge, 32), nn.ReLU(), nn.Linear(32, node * node))
        self.update = nn.GRUCell(node, node)

    def forward(
        self, h: Tensor["N", 24], src: Tensor["E", torch.int64], dst: Tensor["E", torch.int64], e: Tensor["E", 5]
    ) -> Tensor["N", 24]:
        matrices = self.matrix(e).view(-1, self.node, self.node)
        messages = (matrices @ h[src].unsqueeze(-1)).squeeze(-1)
        received = torch.zeros_like(h).index_add(0, dst, messages)
        return self.update(received, h)


def dense_pool(
    x: Tensor["B", "N", "D"], adjacency: Tensor["B", "N", "N"], assign: Tensor["B", "N", "K"]
) -> tuple[Tensor["B", "K", "D"], Tensor["B", "K", "K"]]:
    s = assign.softmax(dim=-1)
    coarse = s.transpose(1, 2) @ x
    return coarse, s.transpose(1, 2) @ adjacency @ s


def project_points(
    points: Float[torch.Tensor, "b n 3"],
    rotation: Float[torch.Tensor, "b 3 3"],
    shift: Float[torch.Tensor, "b 3"],
    camera: Float[torch.Tensor, "b 3 3"],
) -> Float[torch.Tensor, "b n 2"]:
    seen = points @ rotation.transpose(1, 2) + shift.unsqueeze(1)
    flat = seen @ camera.transpose(1, 2)
    return flat[..., :2] / flat[..., 2:]


class NeuralRadiance(nn.Module):
    def __init__(self, bands=6, hidden=64):
        super().__init__()
        self.bands = bands
        self.trunk = nn.Sequential(
            nn.Linear(3 + 3 * 2 * bands, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU()
        )
        self.density = nn.Linear(hidden, 1)
        self.colour = nn.Linear(hidden + 3, 3)

    def encode(self, p):
        scaled = p.unsqueeze(-1) * 2.0 ** torch.arange(self.bands)
        waves = torch.cat([scaled.sin(), scaled.cos()], dim=-1).flatten(-2)
        return torch.cat([p, waves], dim=-1)

    def forward(self, points: Tensor[..., 3], directions: Tensor[..., 3]) -> tuple[Tensor[..., 1], Tensor[..., 3]]:
        h = self.trunk(self.encode(points))
        return F.softplus(self.density(h)), self.colour(torch.cat([h, directions], dim=-1)).sigmoid()


class SessionRecommender(nn.Module):
    def __init__(self, items=300, dim=32):
        super().__init__()
        self.items = nn.Embedding(items, dim)
        self.gru = nn.GRU(dim, dim, batch_first=True)
        self.mix = nn.Linear(2 * dim, dim)

    def forward(self, session: Tensor["B", "S", torch.int64]) -> Tensor["B", 300]:
        out, last = self.gru(self.items(session))
        query = last.squeeze(0)
        weights = torch.einsum("bsd,bd->bs", out, query).softmax(dim=-1)
        local = torch.einsum("bs,bsd->bd", weights, out)
        return self.mix(torch.cat([local, query], dim=-1)) @ self.items.weight.T


def route_tokens(
    x: Tensor["N", "D"], gates: Tensor["N", "E"], capacity: int = 4
) -> tuple[Tensor["E", 4, "D"], Tensor["E", 4]]:
    weight, index = gates.topk(capacity, dim=0)
    chosen = x[index]
    return chosen.transpose(0, 1), weight.T


class TimeAware(nn.Module):
    def __init__(self, items=200, dim=40, kind: Literal["add", "concat"] = "concat"):
        super().__init__()
        self.kind = kind
        self.items = nn.Embedding(items, dim)
        self.time = nn.Linear(1, dim)
        self.join = nn.Linear(2 * dim if kind == "concat" else dim, dim)

    def forward(self, ids: Tensor["B", "S", torch.int64], when: Tensor["B", "S"]) -> Tensor["B", "S", 40]:
        x, t = self.items(ids), self.time(when.unsqueeze(-1))
        if self.kind == "add":
            return self.join(x + t)
        return self.join(torch.cat([x, t], dim=-1))


class HyperConv(nn.Module):
    """The filters of a convolution come from a code."""

    def __init__(self, code=16, cin=4, cout=6, kernel=3):
        super().__init__()
        self.shape = (cout, cin, kernel, kernel)
        self.filters = nn.Linear(code, cout * cin * kernel * kernel)
        self.bias = nn.Linear(code, cout)

    def forward(self, x: Tensor["B", 4, "H", "W"], code: Tensor[16]) -> Tensor["B", 6, "H", "W"]:
        weight = self.filters(code).view(self.shape)
        return F.conv2d(x, weight, self.bias(code), padding=1)


PROGRAMS = [
    RecurrentPolicy,
    AtariQ,
    v_trace,
    EdgeNetwork,
    dense_pool,
    project_points,
    NeuralRadiance,
    SessionRecommender,
    route_tokens,
    TimeAware,
    HyperConv,
]
SIZES = {"route_tokens": {}}
