"""Roads, grids and deliveries, each with one line wrong."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Optional

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import nn

import tessera as ts
from tessera import Tensor

B, T, N, E, H, K = ts.dims("B T N E H K")

HOURS, FEATURES = 24, 7


def by_hour(x, hours):
    """(B, T, F) -> (B, T // hours, hours, F)"""
    b, t, f = x.shape
    return x.reshape(b, t // hours, hours, f)


def daily_profile(x, hours):
    """The mean day: (B, hours, F)"""
    return by_hour(x, hours).mean(dim=1)


class WrongDiffusionConv(nn.Module):
    """Traffic flows along roads, in both directions."""

    def __init__(self, inputs=2, hidden=32, hops=2):
        super().__init__()
        self.hops = hops
        self.mix = nn.Linear(inputs * 2 * hops, hidden)  # BUG

    def forward(self, x: Tensor["B", "N", 2], adjacency: Tensor["N", "N"]) -> Tensor["B", "N", 32]:
        forward = adjacency / adjacency.sum(dim=1, keepdim=True)
        backward = adjacency.T / adjacency.T.sum(dim=1, keepdim=True)
        parts = [x]
        for step in (forward, backward):
            h = x
            for _ in range(self.hops):
                h = step @ h
                parts.append(h)
        return self.mix(torch.cat(parts, dim=-1))  # HURTS


class WrongLoadForecast(nn.Module):
    """The next day of every household from a week."""

    def __init__(self, days=7, hidden=64):
        super().__init__()
        self.days = days
        self.rnn = nn.GRU(HOURS, hidden, batch_first=True)
        self.out = nn.Linear(hidden, HOURS)

    def forward(self, load: Float[torch.Tensor, "homes 168"]) -> Float[torch.Tensor, "homes 24"]:
        days = load.view(-1, HOURS, self.days)  # BUG
        _, h = self.rnn(days)  # HURTS
        return days[:, -1] + self.out(h[0])


def wrong_unusual_hours(x: Tensor["B", 168, 7]) -> Tensor["B", 7, 24, 7]:
    """What differs from the usual day."""
    usual = daily_profile(x, FEATURES)  # BUG
    return by_hour(x, HOURS) - usual.unsqueeze(1)  # HURTS


def wrong_travel_time_loss(predicted: Tensor[B, 1], actual: Tensor[B], weight: Tensor[B]) -> Tensor[()]:
    error = (predicted - actual).abs()  # BUG
    return (error * weight).sum(dim=0) / weight.sum()


class WrongRouteAttention(nn.Module):
    """A vehicle looks at all customers; who has been served is masked."""

    def __init__(self, dim=128, heads=8):
        super().__init__()
        self.heads, self.size = heads, dim // heads
        self.q = nn.Linear(dim + 1, dim)
        self.kv = nn.Linear(dim, 2 * dim)
        self.out = nn.Linear(dim, dim)

    def forward(
        self,
        customers: Tensor[B, N, 128],
        vehicle: Tensor[B, 128],
        room: Tensor[B, 1],
        served: Tensor[B, N, torch.bool],
    ) -> Tensor[B, N]:
        b, n, _ = customers.shape
        q = self.q(torch.cat([vehicle, room], dim=-1)).view(b, self.heads, 1, self.size)
        k, v = self.kv(customers).view(b, n, 2, self.heads, self.size).permute(2, 0, 3, 1, 4)
        score = (q @ k.transpose(-2, -1)) / self.size**0.5
        score = score.masked_fill(served[:, None, :, None], -1e9)  # BUG
        glimpse = (score.softmax(dim=-1) @ v).reshape(b, 1, -1)
        return (self.out(glimpse) @ customers.transpose(1, 2)).squeeze(1)  # HURTS


def wrong_tour_length(place: Tensor["B", "N", 2], order: Tensor["B", "N", torch.int64]) -> Tensor["B"]:
    visited = place.gather(1, order)  # BUG
    step = visited - visited.roll(1, dims=1)
    return step.norm(dim=-1).sum(dim=-1)


@dataclass
class Grid:
    voltage: Tensor["B", "N"]
    lines: Tensor[2, "E", torch.int64]
    admittance: Tensor["E"]


def wrong_line_currents(grid: Grid) -> Tensor["B", "N"]:
    """What flows into every node."""
    start, end = grid.lines
    drop = grid.voltage[:, start] - grid.voltage[:, end]
    current = drop * grid.admittance[:, None]  # BUG
    flow = torch.zeros_like(grid.voltage)
    flow = flow.index_add(1, start, -current)  # HURTS
    return flow.index_add(1, end, current)


class WrongDemandGrid(nn.Module):
    """How many taxis each cell of the town will need."""

    def __init__(self, history=8, context=5, width=32):
        super().__init__()
        self.local = nn.Conv2d(history, width, 3, padding=1)
        self.context = nn.Linear(context, width)
        self.blocks = nn.ModuleList([nn.Conv2d(width, width, 3, padding=1) for _ in range(3)])
        self.out = nn.Conv2d(width, 1, 1)

    def forward(self, demand: Tensor["B", 8, "H", "K"], weather: Tensor["B", 5]) -> Tensor["B", "H", "K"]:
        x = self.local(demand) + self.context(weather)[:, None, None]  # BUG
        for block in self.blocks:
            x = x + F.relu(block(x))
        return self.out(x).squeeze(1)


def wrong_battery_schedule(price: Tensor["T"], level: float = 0.5, size: float = 2.0) -> Tensor["T", 2]:
    """Loads where it is cheap; the level after each hour."""
    cheap = price < price.median()
    power = torch.where(cheap, 0.25, -0.25)
    levels = (level + power.cumsum(0)).clamp(0, size)
    return torch.stack([power, levels])  # BUG


class WrongArrivalHead(nn.Module):
    """A mixture for the time of arrival."""

    def __init__(self, dim=48, parts=5):
        super().__init__()
        self.parts = parts
        self.params = nn.Linear(dim, 3 * parts)

    def forward(self, x: Float[torch.Tensor, "b 48"], when: Float[torch.Tensor, "b"]) -> Float[torch.Tensor, "b"]:
        weight, mean, spread = self.params(x).split(3, dim=-1)  # BUG
        scaled = (when[:, None] - mean) / spread.exp()
        part = weight.log_softmax(-1) - 0.5 * scaled**2 - spread
        return part.logsumexp(dim=-1)


PROGRAMS = [
    WrongDiffusionConv,
    WrongLoadForecast,
    wrong_unusual_hours,
    wrong_travel_time_loss,
    WrongRouteAttention,
    wrong_tour_length,
    wrong_line_currents,
    WrongDemandGrid,
    wrong_battery_schedule,
    WrongArrivalHead,
]
