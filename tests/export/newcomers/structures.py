"""Graphs, sets, tables, fields and densities: models that are no layers in a row."""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn import functional

from tests.export.architectures import IMAGE, TEXT, Job, ids


class GraphAttention(nn.Module):
    """A softmax over the edges that meet in a node (Velickovic et al., 2018), a mean over each graph."""

    def __init__(self) -> None:
        super().__init__()
        self.project = nn.Linear(4, 8, bias=False)
        self.here, self.there = nn.Parameter(torch.randn(8)), nn.Parameter(torch.randn(8))
        self.head = nn.Linear(8, 2)

    def forward(self, x: torch.Tensor, edges: torch.Tensor, graph: torch.Tensor) -> torch.Tensor:
        source, target = edges
        h = self.project(x)
        score = functional.leaky_relu((h @ self.here)[source] + (h @ self.there)[target], 0.2)
        most = torch.full((x.size(0),), -math.inf).scatter_reduce(0, target, score, "amax")
        weight = (score - most[target]).exp()
        total = torch.zeros(x.size(0)).index_add(0, target, weight)
        share = weight / (total[target] + 1e-16)
        h = torch.zeros_like(h).index_add(0, target, share[:, None] * h[source]).relu()
        mean = torch.zeros(3, 8).scatter_reduce(0, graph[:, None].expand_as(h), h, "mean", include_self=False)
        return self.head(mean)


def gat() -> Job:
    call = {"x": torch.randn(6, 4), "edges": torch.randint(0, 2, (2, 9)), "graph": torch.randint(0, 3, (6,))}
    return GraphAttention(), call, {"x": {0: "nodes"}, "edges": {1: "edges"}, "graph": {0: "nodes"}}


class Field(nn.Module):
    """Colour along rays (Mildenhall et al., 2020): sines of places, a network, light that is left."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("octaves", 2.0 ** torch.arange(4))
        self.density = nn.Sequential(nn.Linear(27, 16), nn.ReLU(), nn.Linear(16, 9))
        self.colour = nn.Sequential(nn.Linear(8 + 27, 8), nn.ReLU(), nn.Linear(8, 3), nn.Sigmoid())

    def sines(self, x: torch.Tensor) -> torch.Tensor:
        angles = (x[..., None] * self.octaves).flatten(-2)
        return torch.cat([x, angles.sin(), angles.cos()], -1)

    def forward(self, origin: torch.Tensor, direction: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        depth = torch.linspace(1.0, 4.0, 8)
        places = origin[:, None] + depth[:, None] * direction[:, None]
        found = self.density(self.sines(places))
        toward = self.sines(functional.normalize(direction, dim=-1))[:, None].expand(-1, 8, -1)
        colours = self.colour(torch.cat([found[..., 1:], toward], -1))
        gaps = torch.cat([depth.diff(), torch.tensor([1e10])])
        opaque = 1 - torch.exp(-functional.softplus(found[..., 0]) * gaps)
        left = torch.cumprod(torch.cat([torch.ones_like(opaque[:, :1]), 1 - opaque + 1e-10], -1), -1)[:, :-1]
        weights = opaque * left
        return (weights[..., None] * colours).sum(1), (weights * depth).sum(1)


def nerf() -> Job:
    rays = {0: "rays"}
    call = {"origin": torch.randn(5, 3), "direction": torch.randn(5, 3)}
    return Field(), call, {"origin": rays, "direction": rays}


class Glow(nn.Module):
    """Steps that can be undone (Kingma and Dhariwal, 2018), and the logarithm of the density."""

    def __init__(self) -> None:
        super().__init__()
        self.mixes = nn.ParameterList(nn.Parameter(torch.linalg.qr(torch.randn(6, 6))[0]) for _ in range(2))
        self.nets = nn.ModuleList(nn.Sequential(nn.Linear(3, 16), nn.Softplus(), nn.Linear(16, 6)) for _ in range(2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        change = x.new_zeros(x.size(0))
        for mix, net in zip(self.mixes, self.nets, strict=True):
            x = x @ mix
            change = change + torch.linalg.slogdet(mix).logabsdet
            kept, moved = x.chunk(2, dim=1)
            shift, scale = net(kept).chunk(2, dim=1)
            scale = torch.sigmoid(scale + 2)
            x = torch.cat([kept, (moved + shift) * scale], dim=1)
            change = change + scale.log().sum(1)
        return torch.distributions.Normal(0.0, 1.0).log_prob(x).sum(1) + change


def flow() -> Job:
    return Glow(), (torch.randn(4, 6),), {"x": IMAGE}


class Splines(nn.Module):
    """A learnt curve on every edge (Liu et al., 2024), in B-splines by the recursion of de Boor."""

    def __init__(self, inside: int, outside: int, order: int = 3, pieces: int = 5) -> None:
        super().__init__()
        self.order = order
        knots = torch.arange(-order, pieces + order + 1) * (2 / pieces) - 1
        self.register_buffer("knots", knots.expand(inside, -1).contiguous())
        self.curves = nn.Parameter(0.3 * torch.randn(outside, inside, pieces + order))
        self.base = nn.Parameter(torch.randn(outside, inside) / inside**0.5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        at, knots = x.unsqueeze(-1), self.knots
        bases = ((at >= knots[:, :-1]) & (at < knots[:, 1:])).to(x.dtype)
        for k in range(1, self.order + 1):
            rising = (at - knots[:, : -(k + 1)]) / (knots[:, k:-1] - knots[:, : -(k + 1)]) * bases[..., :-1]
            falling = (knots[:, k + 1 :] - at) / (knots[:, k + 1 :] - knots[:, 1:-k]) * bases[..., 1:]
            bases = rising + falling
        curved = functional.linear(bases.flatten(-2), self.curves.flatten(1))
        return functional.linear(functional.silu(x), self.base) + curved


def kan() -> Job:
    return nn.Sequential(Splines(4, 6), Splines(6, 2)), (torch.rand(3, 4) - 0.5,), {"input": IMAGE}


class Capsules(nn.Module):
    """Routing by agreement (Sabour et al., 2017)."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.primary = nn.Conv2d(1, 8, 3), nn.Conv2d(8, 8, 3, 2)
        self.weight = nn.Parameter(0.1 * torch.randn(1, 18, 3, 6, 4))

    @staticmethod
    def squash(x: torch.Tensor) -> torch.Tensor:
        square = (x**2).sum(-1, keepdim=True)
        return square / (1 + square) * x / (square + 1e-8).sqrt()

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        low = self.primary(self.first(image).relu())
        low = self.squash(low.view(image.size(0), 2, 4, 9).permute(0, 1, 3, 2).reshape(image.size(0), -1, 4))
        said = (self.weight @ low[:, :, None, :, None]).squeeze(-1)
        logits = torch.zeros(image.size(0), 18, 3, 1)
        for turn in range(3):
            high = self.squash((functional.softmax(logits, dim=2) * said).sum(1, keepdim=True))
            if turn < 2:
                logits += (said * high).sum(-1, keepdim=True)
        return torch.linalg.norm(high.squeeze(1), dim=-1)


def capsules() -> Job:
    return Capsules(), (torch.randn(2, 1, 10, 10),), {"image": IMAGE}


class Recommender(nn.Module):
    """Bags of things, numbers, and the products of every two of them (Naumov et al., 2019)."""

    def __init__(self) -> None:
        super().__init__()
        self.numbers = nn.Sequential(nn.Linear(5, 8), nn.ReLU())
        self.user, self.items = nn.Embedding(50, 8), nn.EmbeddingBag(50, 8, mode="mean", padding_idx=0)
        self.head = nn.Sequential(nn.Linear(8 + 3, 8), nn.ReLU(), nn.Linear(8, 1))

    def forward(self, numbers: torch.Tensor, user: torch.Tensor, items: torch.Tensor) -> torch.Tensor:
        dense = self.numbers(numbers)
        each = torch.stack([dense, self.user(user), self.items(items)], 1)
        products = torch.bmm(each, each.transpose(1, 2))
        row, column = torch.tril_indices(3, 3, offset=-1)
        return self.head(torch.cat([dense, products[:, row, column]], 1)).squeeze(1)


def recommender() -> Job:
    call = {"numbers": torch.randn(3, 5), "user": ids(3), "items": ids(3, 4)}
    return Recommender(), call, {"numbers": IMAGE, "user": IMAGE, "items": TEXT}


class Codebook(nn.Module):
    """The nearest of learnt vectors for every place (van den Oord et al., 2017)."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.codes = nn.Conv2d(3, 8, 4, 4), nn.Embedding(12, 8)
        self.decoder = nn.ConvTranspose2d(8, 3, 4, 4)

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        z = self.encoder(image).permute(0, 2, 3, 1)
        nearest = torch.cdist(z.reshape(-1, 8), self.codes.weight).argmin(dim=1)
        found = self.codes(nearest).view(z.shape)
        found = z + (found - z).detach()
        return self.decoder(found.permute(0, 3, 1, 2)), nearest.view(z.shape[:-1])


def vqvae() -> Job:
    return Codebook(), (torch.randn(2, 3, 8, 12),), {"image": IMAGE}


class Pendulum(nn.Module):
    """A learnt derivative in ten steps of Runge and Kutta (Chen et al., 2018)."""

    def __init__(self) -> None:
        super().__init__()
        self.derivative = nn.Sequential(nn.Linear(3, 16), nn.Tanh(), nn.Linear(16, 2))

    def slope(self, t: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return self.derivative(torch.cat([y, t.expand(y.shape[0], 1)], 1))

    def forward(self, start: torch.Tensor, until: torch.Tensor) -> torch.Tensor:
        h, y, seen = until / 10, start, [start]
        for step in range(10):
            t = step * h
            a = self.slope(t, y)
            b = self.slope(t + h / 2, y + h / 2 * a)
            c = self.slope(t + h / 2, y + h / 2 * b)
            d = self.slope(t + h, y + h * c)
            y = y + h / 6 * (a + 2 * b + 2 * c + d)
            seen.append(y)
        return torch.stack(seen, 1)


def neural_ode() -> Job:
    return Pendulum(), {"start": torch.randn(3, 2), "until": torch.tensor(2.0)}, {"start": IMAGE}
