"""Atoms and what is between them; clouds of points."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor as Array
from torch import nn

import tessera
from tessera import Tensor

N, E, D, G, M, B, K = tessera.dims("N E D G M B K")


class InteractionAgain(nn.Module):
    """Each atom hears its neighbours, the near ones more."""

    def __init__(self, width=64, bases=20):
        super().__init__()
        self.filter = nn.Sequential(nn.Linear(bases, width), nn.Softplus(), nn.Linear(width, width))
        self.enter = nn.Linear(width, width, bias=False)
        self.leave = nn.Linear(width, width)

    def forward(
        self, x: Tensor["N", 64], edges: Tensor[2, "E", torch.int64], distance: Tensor["E", 20]
    ) -> Tensor["N", 64]:
        src, dst = edges
        message = self.enter(x)[src] * self.filter(distance)
        total = torch.zeros_like(x).index_add(0, dst, message)
        return x + self.leave(F.softplus(total))


def radial_bases(
    place: Tensor["N", 3], edges: Tensor[2, "E", torch.int64], cutoff: float = 5.0, count: int = 20
) -> Tensor["E", 20]:
    between = place[edges[0]] - place[edges[1]]
    distance = between.norm(dim=-1, keepdim=True)
    centres = torch.linspace(0, cutoff, count)
    return torch.exp(-((distance - centres) ** 2))


class AttentiveBonds(nn.Module):
    def __init__(self, enter: int = 32, width: int = 16, heads: int = 4):
        super().__init__()
        self.heads, self.width = heads, width
        self.project = nn.Linear(enter, heads * width)
        self.of_source = nn.Parameter(torch.randn(heads, width))
        self.of_target = nn.Parameter(torch.randn(heads, width))

    def forward(self, x: Float[Array, "n 32"], bonds: Int[Array, "2 e"]) -> Float[Array, "n 64"]:
        h = self.project(x).view(-1, self.heads, self.width)
        src, dst = bonds
        score = (h * self.of_source).sum(-1)[src] + (h * self.of_target).sum(-1)[dst]
        score = F.leaky_relu(score, 0.2).exp()
        total = torch.zeros(x.shape[0], self.heads).index_add(0, dst, score)
        weight = score / total[dst]
        out = torch.zeros_like(h).index_add(0, dst, h[src] * weight.unsqueeze(-1))
        return F.elu(out.flatten(1))


def molecule_means(atoms: Tensor[N, D], molecule: Tensor[N, torch.int64], empty: Tensor[G, D]) -> Tensor[G, D]:
    """One vector for each molecule."""
    total = torch.zeros_like(empty).index_add(0, molecule, atoms)
    count = torch.zeros(empty.shape[0]).index_add(0, molecule, torch.ones(atoms.shape[0]))
    return total / count.clamp(min=1).unsqueeze(-1)


def grouped(
    points: Tensor["B", "N", 3], features: Tensor["B", "N", "C"], centres: Tensor["B", "M", 3], k: int = 16
) -> Tensor["B", "M", 16, "C + 3"]:
    """What is near each centre, seen from there."""
    b, m, _ = centres.shape
    near = torch.cdist(centres, points).topk(k, largest=False).indices
    flat = near.reshape(b, m * k, 1)
    place = points.gather(1, flat.expand(-1, -1, 3)).view(b, m, k, 3)
    seen = features.gather(1, flat.expand(-1, -1, features.shape[-1])).view(b, m, k, -1)
    return torch.cat([place - centres.unsqueeze(2), seen], dim=-1)


class TurnsWithIt(nn.Module):
    """Moves atoms; what comes in turned comes out turned."""

    def __init__(self, width=48):
        super().__init__()
        self.edge = nn.Sequential(nn.Linear(2 * width + 1, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU())
        self.weigh = nn.Sequential(nn.Linear(width, width), nn.SiLU(), nn.Linear(width, 1))
        self.node = nn.Sequential(nn.Linear(2 * width, width), nn.SiLU(), nn.Linear(width, width))

    def forward(
        self, h: Tensor["B", "N", 48], x: Tensor["B", "N", 3]
    ) -> tuple[Tensor["B", "N", 48], Tensor["B", "N", 3]]:
        n = h.size(1)
        diff = x[:, :, None] - x[:, None]
        square = (diff**2).sum(dim=-1, keepdim=True)
        pairs = torch.cat([h[:, :, None].expand(-1, -1, n, -1), h[:, None].expand(-1, n, -1, -1), square], dim=-1)
        message = self.edge(pairs)
        x = x + (diff * self.weigh(message)).mean(dim=2)
        h = h + self.node(torch.cat([h, message.sum(dim=2)], dim=-1))
        return h, x


def twist_angles(backbone: Tensor["B", "L", 4, 3]) -> Tensor["B", "L"]:
    """The angle between two planes, of four atoms in a row."""
    a, b, c = (backbone[:, :, 1:] - backbone[:, :, :-1]).unbind(dim=2)
    n1 = torch.linalg.cross(a, b)
    n2 = torch.linalg.cross(b, c)
    m = torch.linalg.cross(n1, F.normalize(b, dim=-1))
    x = (n1 * n2).sum(dim=-1)
    y = (m * n2).sum(dim=-1)
    return torch.atan2(y, x)


def likeness(queries: Float[Array, "q bits"], library: Float[Array, "m bits"]) -> Float[Array, "q m"]:
    """How many bits two fingerprints share, of all that either has."""
    shared = queries @ library.T
    mine = queries.sum(dim=1)
    theirs = library.sum(dim=1)
    return shared / (mine[:, None] + theirs[None, :] - shared)


class CrystalLayer(nn.Module):
    def __init__(self, width: int = 40):
        super().__init__()
        self.own = nn.Linear(width, width)
        self.others = nn.Linear(width, width)
        self.norm = nn.LayerNorm(width)

    def forward(self, x: Tensor["B", "N", 40], bonded: Tensor["B", "N", "N"]) -> Tensor["B", "N", 40]:
        degree = bonded.sum(dim=-1, keepdim=True).clamp(min=1)
        gathered = (bonded @ x) / degree
        return F.relu(self.norm(self.own(x) + self.others(gathered)))


@tessera.function
def cloud_distance(one: Tensor[B, N, 3], other: Tensor[B, M, 3]) -> Tensor[B]:
    distance = torch.cdist(one, other)
    there = distance.min(dim=2).values.mean(dim=1)
    back = distance.min(dim=1).values.mean(dim=1)
    return there + back


SIZES = {"grouped": {"N": (29, 31, 37)}}


PROGRAMS = [
    InteractionAgain,
    radial_bases,
    AttentiveBonds,
    molecule_means,
    grouped,
    TurnsWithIt,
    twist_angles,
    likeness,
    CrystalLayer,
    cloud_distance,
]
