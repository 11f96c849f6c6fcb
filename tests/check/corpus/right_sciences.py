"""A second look: weather, proteins, games, text to speech, tables, compression."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import nn

import tessera as ts
from tessera import Tensor

B, L, D, H, W = ts.dims("B L D H W")


class WeatherStencil(nn.Module):
    def __init__(self, fields=5, width=24, steps=3):
        super().__init__()
        self.lift = nn.Conv2d(fields, width, 3, padding=1)
        self.mix = nn.ModuleList([nn.Conv2d(width, width, 3, padding=i + 1, dilation=i + 1) for i in range(steps)])
        self.out = nn.Conv2d(width, fields, 3, padding=1)

    def forward(self, state: Tensor[B, 5, H, W]) -> Tensor[B, 5, H, W]:
        x = F.gelu(self.lift(state))
        for conv in self.mix:
            x = x + F.gelu(conv(x))
        return state + self.out(x)


def latitude_weighted(
    forecast: Tensor["B", "C", "H", "W"], truth: Tensor["B", "C", "H", "W"], lat: Tensor["H"]
) -> Tensor["B", "C"]:
    weight = lat.cos() / lat.cos().mean()
    error = (forecast - truth) ** 2 * weight[:, None]
    return error.mean(dim=(-2, -1)).sqrt()


class TriangleUpdate(nn.Module):
    """Outgoing edges of a pair representation."""

    def __init__(self, dim=32, hidden=16):
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.left, self.right = nn.Linear(dim, hidden), nn.Linear(dim, hidden)
        self.gate = nn.Linear(dim, dim)
        self.out = nn.Linear(hidden, dim)

    def forward(self, pair: Tensor[B, L, L, 32], mask: Tensor[B, L, L]) -> Tensor[B, L, L, 32]:
        z = self.norm(pair)
        left = self.left(z) * mask[..., None]
        right = self.right(z) * mask[..., None]
        mixed = torch.einsum("bikc,bjkc->bijc", left, right)
        return pair + torch.sigmoid(self.gate(z)) * self.out(mixed)


class PairBias(nn.Module):
    def __init__(self, dim=48, pair=20, heads=4):
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(dim, 3 * dim)
        self.bias = nn.Linear(pair, heads)
        self.out = nn.Linear(dim, dim)

    def forward(self, x: Tensor["B", "L", 48], pair: Tensor["B", "L", "L", 20]) -> Tensor["B", "L", 48]:
        b, n, d = x.shape
        q, k, v = self.qkv(x).view(b, n, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        bias = self.bias(pair).permute(0, 3, 1, 2)
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=bias)
        return self.out(y.transpose(1, 2).reshape(b, n, d))


def contact_map(
    coords: Float[torch.Tensor, "batch length 3"], cut: float = 8.0
) -> Float[torch.Tensor, "batch length length"]:
    difference = coords[:, :, None] - coords[:, None]
    distance = difference.norm(dim=-1)
    return torch.sigmoid(cut - distance)


class BoardNet(nn.Module):
    def __init__(self, planes=17, width=32, blocks=2, board=9):
        super().__init__()
        self.board = board
        self.stem = nn.Conv2d(planes, width, 3, padding=1)
        self.tower = nn.Sequential(
            *[
                nn.Sequential(nn.Conv2d(width, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU())
                for _ in range(blocks)
            ]
        )
        self.policy_conv = nn.Conv2d(width, 2, 1)
        self.policy = nn.Linear(2 * board * board, board * board + 1)
        self.value_conv = nn.Conv2d(width, 1, 1)
        self.value = nn.Sequential(nn.Linear(board * board, 64), nn.ReLU(), nn.Linear(64, 1))

    def forward(self, planes: Tensor[B, 17, 9, 9]) -> tuple[Tensor[B, 82], Tensor[B]]:
        x = self.tower(F.relu(self.stem(planes)))
        policy = self.policy(self.policy_conv(x).flatten(1))
        value = torch.tanh(self.value(self.value_conv(x).flatten(1)))
        return policy, value.squeeze(-1)


def elo_expected(rating: Tensor["N"], first: Tensor["G", torch.int64], second: Tensor["G", torch.int64]) -> Tensor["G"]:
    gap = rating[second] - rating[first]
    return 1.0 / (1.0 + 10 ** (gap / 400))


class StyleTokens(nn.Module):
    def __init__(self, tokens=10, dim=64, heads=4):
        super().__init__()
        self.tokens = nn.Parameter(torch.randn(tokens, dim))
        self.attend = nn.MultiheadAttention(dim, heads, batch_first=True)

    def forward(self, reference: Tensor["B", 64]) -> Tensor["B", 64]:
        keys = torch.tanh(self.tokens)[None].expand(reference.shape[0], -1, -1)
        style, _ = self.attend(reference[:, None], keys, keys)
        return style.squeeze(1)


class PostNet(nn.Module):
    def __init__(self, mels=80, width=64, layers=4, kernel=5):
        super().__init__()
        widths = [mels] + [width] * (layers - 1) + [mels]
        self.convs = nn.ModuleList()
        for i in range(layers):
            conv = nn.Conv1d(widths[i], widths[i + 1], kernel, padding=kernel // 2)
            norm = nn.BatchNorm1d(widths[i + 1])
            self.convs.append(nn.Sequential(conv, norm))

    def forward(self, mel: Tensor[B, L, 80]) -> Tensor[B, L, 80]:
        x = mel.transpose(1, 2)
        for conv in self.convs:
            x = torch.tanh(conv(x))
        return mel + x.transpose(1, 2)


def stop_token_loss(logits: Tensor["B", "L", 1], lengths: Tensor["B", torch.int64]) -> Tensor["B"]:
    place = torch.arange(logits.shape[1])
    target = (place >= lengths[:, None]).float()
    loss = F.binary_cross_entropy_with_logits(logits.squeeze(-1), target, reduction="none")
    return loss.mean(dim=1)


class TabTransformer(nn.Module):
    def __init__(self, sizes=(12, 7, 30), numeric=6, dim=16, classes=4):
        super().__init__()
        self.tables = nn.ModuleList([nn.Embedding(n, dim) for n in sizes])
        self.encoder = nn.TransformerEncoderLayer(dim, 4, 32, batch_first=True, dropout=0.0)
        self.norm = nn.LayerNorm(numeric)
        self.head = nn.Linear(len(sizes) * dim + numeric, classes)

    def forward(self, codes: Tensor["B", 3, torch.int64], numbers: Tensor["B", 6]) -> Tensor["B", 4]:
        x = torch.stack([table(codes[:, i]) for i, table in enumerate(self.tables)], dim=1)
        x = self.encoder(x).flatten(1)
        return self.head(torch.cat([x, self.norm(numbers)], dim=1))


def target_encoding(codes: Tensor["N", torch.int64], target: Tensor["N"], classes: int = 9) -> Tensor["N"]:
    one_hot = F.one_hot(codes, classes).float()
    total = one_hot.T @ target
    count = one_hot.sum(dim=0)
    return (total / count.clamp(min=1))[codes]


class HyperPrior(nn.Module):
    """Learned compression: a latent and the scale of its noise."""

    def __init__(self, channels=3, width=16, latent=24):
        super().__init__()
        self.analyse = nn.Sequential(nn.Conv2d(channels, width, 5, 2, 2), nn.GELU(), nn.Conv2d(width, latent, 5, 2, 2))
        self.hyper = nn.Sequential(nn.Conv2d(latent, width, 3, 2, 1), nn.GELU())
        self.scale = nn.ConvTranspose2d(width, latent, 4, 2, 1)
        self.synthesise = nn.Sequential(
            nn.ConvTranspose2d(latent, width, 4, 2, 1), nn.GELU(), nn.ConvTranspose2d(width, channels, 4, 2, 1)
        )

    def forward(self, x: Tensor[B, 3, 64, 64]) -> tuple[Tensor[B, 3, 64, 64], Tensor[B]]:
        y = self.analyse(x)
        scale = F.softplus(self.scale(self.hyper(y)))
        bits = (y / scale).pow(2).flatten(1).sum(dim=1)
        return self.synthesise(y), bits


def run_length_mask(values: Int[torch.Tensor, "batch length"]) -> Int[torch.Tensor, "batch length"]:
    change = (values[:, 1:] != values[:, :-1]).long()
    start = torch.cat([torch.zeros(values.shape[0], 1, dtype=torch.long), change], dim=1)
    return start.cumsum(dim=1)


@dataclass
class Rating:
    user: Tensor["B", torch.int64]
    item: Tensor["B", torch.int64]
    score: Tensor["B"]


class BiasedFactors(nn.Module):
    def __init__(self, users=100, items=50, dim=12):
        super().__init__()
        self.user, self.item = nn.Embedding(users, dim), nn.Embedding(items, dim)
        self.user_bias, self.item_bias = nn.Embedding(users, 1), nn.Embedding(items, 1)

    def forward(self, rating: Rating) -> Tensor["B"]:
        dot = (self.user(rating.user) * self.item(rating.item)).sum(dim=-1)
        bias = (self.user_bias(rating.user) + self.item_bias(rating.item)).squeeze(-1)
        return (dot + bias - rating.score) ** 2


class MultiScaleGate(nn.Module):
    def __init__(self, dim=40, scales=(1, 2, 4)):
        super().__init__()
        self.scales = scales
        self.gate = nn.Linear(dim, len(scales))
        self.proj = nn.ModuleList([nn.Linear(dim, dim) for _ in scales])

    def pooled(self, x, scale):
        y = F.avg_pool1d(x.transpose(1, 2), scale, stride=1, padding=scale // 2)
        return y[..., : x.shape[1]].transpose(1, 2)

    def forward(self, x: Tensor["B", "L", 40]) -> Tensor["B", "L", 40]:
        share = self.gate(x).softmax(dim=-1)
        parts = [proj(self.pooled(x, s)) for proj, s in zip(self.proj, self.scales)]
        return (torch.stack(parts, dim=-1) * share.unsqueeze(2)).sum(dim=-1)


def ensemble_spread(members: Tensor["E", "B", "D"]) -> tuple[Tensor["B", "D"], Tensor["B"]]:
    mean = members.mean(dim=0)
    spread = (members - mean).pow(2).mean(dim=0)
    return mean, spread.mean(dim=1).sqrt()


class PointerDecoder(nn.Module):
    def __init__(self, dim=32):
        super().__init__()
        self.cell = nn.LSTMCell(dim, dim)
        self.query, self.key = nn.Linear(dim, dim), nn.Linear(dim, dim)

    def forward(self, nodes: Tensor[B, L, 32], steps: int = 3) -> Tensor[B, 3, L]:
        h = nodes.mean(dim=1)
        c = torch.zeros_like(h)
        given, scores = nodes[:, 0], []
        for _ in range(steps):
            h, c = self.cell(given, (h, c))
            score = torch.einsum("bd,bld->bl", self.query(h), self.key(nodes)).softmax(dim=-1)
            given = torch.einsum("bl,bld->bd", score, nodes)
            scores.append(score)
        return torch.stack(scores, dim=1)


def blockwise_quantise(weight: Tensor["R", "64*K"], block: int = 64) -> tuple[Tensor["R", "K", 64], Tensor["R", "K"]]:
    r, c = weight.shape
    blocks = weight.view(r, c // block, block)
    scale = blocks.abs().amax(dim=-1)
    return blocks / scale[..., None], scale


class SparseCoder(nn.Module):
    """Iterated shrinkage with a learned dictionary."""

    def __init__(self, dim=20, atoms=60, steps=3):
        super().__init__()
        self.steps = steps
        self.dictionary = nn.Parameter(torch.randn(atoms, dim))
        self.step = nn.Parameter(torch.tensor(0.1))

    def forward(self, x: Tensor["B", 20]) -> tuple[Tensor["B", 60], Tensor["B", 20]]:
        code = torch.zeros(x.shape[0], self.dictionary.shape[0])
        for _ in range(self.steps):
            error = x - code @ self.dictionary
            code = F.softshrink(code + self.step * error @ self.dictionary.T, 0.01)
        return code, code @ self.dictionary


PROGRAMS = [
    WeatherStencil,
    latitude_weighted,
    TriangleUpdate,
    PairBias,
    contact_map,
    BoardNet,
    elo_expected,
    StyleTokens,
    PostNet,
    stop_token_loss,
    TabTransformer,
    target_encoding,
    HyperPrior,
    run_length_mask,
    BiasedFactors,
    MultiScaleGate,
    ensemble_spread,
    PointerDecoder,
    blockwise_quantise,
    SparseCoder,
]
