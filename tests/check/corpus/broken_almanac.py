"""Tables, tides, prices and the weather: what is estimated from rows and series, each with one line wrong."""

from __future__ import annotations

from typing import Optional

import torch
import torch.nn as nn
import torch.nn.functional as F
from jaxtyping import Float, Int

import tessera as ts
from tessera import Tensor

B, N, M, T, D, K = ts.dims("B N M T D K")


class WrongColumnsAsTokens(nn.Module):
    """Each column of a table is one token."""

    def __init__(self, columns: int = 14, width: int = 32):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(columns, width))
        self.bias = nn.Parameter(torch.randn(columns, width))
        self.first = nn.Parameter(torch.zeros(1, 1, width))
        self.body = nn.TransformerEncoderLayer(width, 4, 64, batch_first=True)
        self.head = nn.Linear(width, 1)

    def forward(self, row: Tensor["B", 14]) -> Tensor["B"]:
        tokens = row.unsqueeze(1) * self.weight + self.bias  # BUG
        tokens = torch.cat([self.first.expand(row.shape[0], -1, -1), tokens], dim=1)
        return self.head(self.body(tokens)[:, 0]).squeeze(-1)


class WrongPairsOfFields(nn.Module):
    def __init__(self, fields=6, values=500, size=10):
        super().__init__()
        self.linear = nn.Embedding(fields * values, 1)
        self.factor = nn.Embedding(fields * values, size)

    def forward(self, fields: Tensor["B", 6, torch.int64]) -> Tensor["B"]:
        one = self.linear(fields).squeeze(-1).sum(dim=1)
        v = self.factor(fields)
        square_of_sum = v.sum(dim=1) ** 2
        sum_of_square = (v**2).sum(dim=2)  # BUG
        return one + 0.5 * (square_of_sum - sum_of_square).sum(dim=1)  # HURTS


def wrong_tracked(
    state: Tensor["B", "N"],
    spread: Tensor["B", "N", "N"],
    seen: Tensor["B", "M"],
    sensor: Tensor["M", "N"],
    noise: Tensor["M", "M"],
) -> tuple[Tensor["B", "N"], Tensor["B", "N", "N"]]:
    """What is known after it was seen."""
    surprise = seen - state @ sensor.T
    cross = spread @ sensor  # BUG
    gain = torch.linalg.solve(sensor @ cross + noise, cross.mT).mT
    state = state + (gain @ surprise.unsqueeze(-1)).squeeze(-1)
    return state, spread - gain @ sensor @ spread


def nearness(a, b, scale):
    return torch.exp(-0.5 * (torch.cdist(a, b) / scale) ** 2)


def wrong_guessed_between(
    known: Tensor["N", "D"], values: Tensor["N"], asked: Tensor["M", "D"], scale: float = 0.3
) -> tuple[Tensor["M"], Tensor["M"]]:
    """The mean and the variance of a Gaussian process."""
    here = nearness(known, known, scale) + 1e-4 * torch.eye(known.shape[0])
    cross = nearness(known, asked, scale)  # BUG
    mean = cross @ torch.linalg.solve(here, values)  # HURTS
    lowered = (cross * torch.linalg.solve(here, cross.T).T).sum(dim=-1)
    return mean, 1 - lowered


def wrong_solved_by_steps(a: Tensor["B", "N", "N"], b: Tensor["B", "N"], steps: int = 5) -> Tensor["B", "N"]:
    """Conjugate gradients, of many systems at once."""
    x = torch.zeros_like(b)
    r = b - (a @ x.unsqueeze(-1)).squeeze(-1)
    p = r
    rest = (r * r).sum(dim=-1, keepdim=True)
    for _ in range(steps):
        ap = (a @ p.unsqueeze(-1)).squeeze(-1)
        alpha = rest / (p * ap).sum(dim=-1)  # BUG
        x = x + alpha * p  # HURTS
        r = r - alpha * ap
        new = (r * r).sum(dim=-1, keepdim=True)
        p = r + new / rest * p
        rest = new
    return x


class WrongTideBlock(nn.Module):
    """Explains some of the past, and guesses the future of that."""

    def __init__(self, past: int = 96, future: int = 24, width: int = 64):
        super().__init__()
        self.past, self.future = past, future
        self.body = nn.Sequential(nn.Linear(past, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU())
        self.theta = nn.Linear(width, 2 * future)  # BUG

    def forward(self, series: Tensor["B", 96]) -> tuple[Tensor["B", 96], Tensor["B", 24]]:
        theta = self.theta(self.body(series))
        back, ahead = theta.split([self.past, self.future], dim=-1)  # HURTS
        return series - back, ahead


def wrong_wider_beams(
    scores: Float[torch.Tensor, "b k"], log_p: Float[torch.Tensor, "b k v"], written: Int[torch.Tensor, "b k t"]
) -> tuple[Float[torch.Tensor, "b k"], Int[torch.Tensor, "b k t+1"]]:
    b, k, v = log_p.shape
    total = (scores.unsqueeze(-1) + log_p).view(b * k, v)  # BUG
    best, place = total.topk(k, dim=-1)  # HURTS
    beam, word = place // v, place % v
    kept = written.gather(1, beam.unsqueeze(-1).expand(-1, -1, written.shape[-1]))  # HURTS
    return best, torch.cat([kept, word.unsqueeze(-1)], dim=-1)


def wrong_warmed(ground: Tensor["B", "H", "W"], rate: float = 0.1) -> Tensor["B", "H", "W"]:
    """One step of heat; the rim stays as it is."""
    middle = ground[:, 1:-1, 1:-1]
    around = ground[:, 2:, 1:-1] + ground[:, :-2, 1:-1] + ground[:, 1:-1, 2:] + ground[:, 1:-1, :-2]
    change = F.pad(around - 4 * middle, (1, 1))  # BUG
    return ground + rate * change  # HURTS


def wrong_risk_of(
    holdings: Tensor["P", "N"], covariance: Tensor["N", "N"], price: Optional[Tensor["N"]] = None
) -> Tensor["P"]:
    if price is not None:
        holdings = holdings * price
    variance = holdings @ covariance @ holdings.T  # BUG
    return variance.clamp(min=0).sqrt()


class WrongManyBells(nn.Module):
    """A density made of some Gaussians."""

    def __init__(self, enter: int = 20, leave: int = 3, bells: int = 5):
        super().__init__()
        self.bells, self.leave = bells, leave
        self.body = nn.Linear(enter, 64)
        self.pi = nn.Linear(64, bells)
        self.mean = nn.Linear(64, bells * leave)
        self.scale = nn.Linear(64, bells * leave)

    def forward(self, x: Tensor["B", 20], y: Tensor["B", 3]) -> Tensor["B"]:
        h = torch.tanh(self.body(x))
        mean = self.mean(h).view(-1, self.bells, self.leave)
        scale = F.softplus(self.scale(h)).view(-1, self.bells, self.leave) + 1e-3
        each = torch.distributions.Normal(mean, scale).log_prob(y.unsqueeze(1)).sum(dim=1)  # BUG
        return -torch.logsumexp(self.pi(h).log_softmax(dim=-1) + each, dim=-1)  # HURTS


PROGRAMS = [
    WrongColumnsAsTokens,
    WrongPairsOfFields,
    wrong_tracked,
    wrong_guessed_between,
    wrong_solved_by_steps,
    WrongTideBlock,
    wrong_wider_beams,
    wrong_warmed,
    wrong_risk_of,
    WrongManyBells,
]
