"""Dictionaries, dataclasses, lists of tensors, jaxtyping, helper functions that call each other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Optional

import torch
import torch.nn as nn
import torch.nn.functional as F
from jaxtyping import Float, Int
from tessera import Tensor


@dataclass
class Batch:
    images: Tensor["B", 3, 32, 32]
    tokens: Tensor["B", "L", torch.int64]
    labels: Tensor["B", torch.int64]


class TwoTowerAgain(nn.Module):
    def __init__(self, dim=64, vocab=400):
        super().__init__()
        self.image = nn.Sequential(nn.Conv2d(3, 32, 4, stride=4), nn.ReLU(), nn.Flatten(), nn.Linear(32 * 8 * 8, dim))
        self.text = nn.Embedding(vocab, dim)

    def forward(self, batch: Batch) -> Tensor["B", "B"]:
        image = F.normalize(self.image(batch.images), dim=-1)
        text = F.normalize(self.text(batch.tokens).mean(1), dim=-1)
        return image @ text.T


@dataclass
class Point:
    position: Tensor["N", 3]
    feature: Tensor["N", "F"]


def with_neighbours(points: Point, index: Tensor["N", "K", torch.int64]) -> Tensor["N", "K", "F+3"]:
    relative = points.position[index] - points.position[:, None]
    return torch.cat([points.feature[index], relative], dim=-1)


def collate_again(rows: list[Tensor["L", "D"]]) -> Tensor[3, "L", "D"]:
    return torch.stack(rows)


def fuse(features: dict[str, Tensor["B", "T", 16]]) -> Tensor["B", "T", 48]:
    parts = [features["audio"], features["video"], features["text"]]
    return torch.cat(parts, dim=-1)


def pooled_again(hidden: Tensor["B", "S", "D"], kind: Literal["mean", "max"] = "mean") -> Tensor["B", "D"]:
    if kind == "mean":
        return hidden.mean(dim=1)
    return hidden.max(dim=1).values


def masked_mean(x: Tensor["B", "S", "D"], mask: Optional[Tensor["B", "S"]] = None) -> Tensor["B", "D"]:
    if mask is None:
        return x.mean(1)
    return (x * mask[..., None]).sum(1) / mask.sum(1)[:, None]


def scaled(queries, keys):
    return queries @ keys.transpose(-2, -1) / keys.shape[-1] ** 0.5


def mix(weights, values):
    return weights.softmax(-1) @ values


def attend_again(q: Tensor["B", "S", "D"], k: Tensor["B", "T", "D"], v: Tensor["B", "T", "E"]) -> Tensor["B", "S", "E"]:
    return mix(scaled(q, k), v)


def bilinear(x, w, y):
    return torch.einsum("bi,oij,bj->bo", x, w, y)


def related(head: Tensor["B", 32], tail: Tensor["B", 48], relation: Tensor["R", 32, 48]) -> Tensor["B", "R"]:
    return bilinear(head, relation, tail)


def jax_attention(
    q: Float[torch.Tensor, "batch heads query dim"],
    k: Float[torch.Tensor, "batch heads key dim"],
    v: Float[torch.Tensor, "batch heads key dim"],
) -> Float[torch.Tensor, "batch query heads*dim"]:
    weights = torch.einsum("bhqd,bhkd->bhqk", q, k).softmax(-1)
    mixed = torch.einsum("bhqk,bhkd->bqhd", weights, v)
    return mixed.flatten(2)


def jax_embed(ids: Int[torch.Tensor, "b s"], table: Float[torch.Tensor, "v d"]) -> Float[torch.Tensor, "b s d"]:
    return table[ids]


def split_batch(x: Tensor["4*M", "D"]) -> list[Tensor["M", "D"]]:
    return list(x.chunk(4, dim=0))


def interleave(a: Tensor["B", "N", "D"], b: Tensor["B", "N", "D"]) -> Tensor["B", "2*N", "D"]:
    return torch.stack([a, b], dim=2).flatten(1, 2)


def project_out(x: Tensor["B", "D"], basis: Tensor["K", "D"]) -> Tensor["B", "D"]:
    along = x @ basis.T
    return x - along @ basis


PROGRAMS = [
    TwoTowerAgain,
    with_neighbours,
    collate_again,
    fuse,
    pooled_again,
    masked_mean,
    attend_again,
    related,
    jax_attention,
    jax_embed,
    split_batch,
    interleave,
    project_out,
]

SIZES = {}
