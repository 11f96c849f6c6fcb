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


class WrongTwoTower(nn.Module):
    def __init__(self, dim=64, vocab=400):
        super().__init__()
        self.image = nn.Sequential(
            nn.Conv2d(3, 32, 4, stride=4),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(32 * 4 * 4, dim),  # BUG
        )
        self.text = nn.Embedding(vocab, dim)

    def forward(self, batch: Batch) -> Tensor["B", "B"]:
        image = F.normalize(self.image(batch.images), dim=-1)  # HURTS
        text = F.normalize(self.text(batch.tokens).mean(1), dim=-1)
        return image @ text.T


@dataclass
class Point:
    position: Tensor["N", 3]
    feature: Tensor["N", "F"]


def wrong_with_neighbours(points: Point, index: Tensor["N", "K", torch.int64]) -> Tensor["N", "K", "F+3"]:
    relative = points.position[index] - points.position[None, :]  # BUG
    return torch.cat([points.feature[index], relative], dim=-1)


def wrong_collate(rows: list[Tensor["L", "D"]]) -> Tensor[3, "L", "D"]:
    return torch.cat(rows)  # BUG


def wrong_fuse(features: dict[str, Tensor["B", "T", 16]]) -> Tensor["B", "T", 48]:
    parts = [features["audio"], features["video"]]  # BUG
    return torch.cat(parts, dim=-1)


def wrong_pooled(hidden: Tensor["B", "S", "D"], kind: Literal["mean", "max"] = "mean") -> Tensor["B", "D"]:
    if kind == "mean":
        return hidden.mean(dim=1)
    return hidden.max(dim=2).values  # BUG


def wrong_masked_mean(x: Tensor["B", "S", "D"], mask: Optional[Tensor["B", "S"]] = None) -> Tensor["B", "D"]:
    if mask is None:
        return x.mean(1)
    return (x * mask[..., None]).sum(1) / mask.sum(1)[None, :]  # BUG


def scaled(queries, keys):
    return queries @ keys.transpose(-2, -1) / keys.shape[-1] ** 0.5


def mix(weights, values):
    return weights.softmax(-1) @ values  # HURTS


def wrong_attend(q: Tensor["B", "S", "D"], k: Tensor["B", "T", "D"], v: Tensor["B", "T", "E"]) -> Tensor["B", "S", "E"]:
    return mix(scaled(k, q), v)  # BUG


def bilinear(x, w, y):
    return torch.einsum("bi,oij,bj->bo", x, w, y)  # HURTS


def wrong_related(head: Tensor["B", 32], tail: Tensor["B", 48], relation: Tensor["R", 32, 48]) -> Tensor["B", "R"]:
    return bilinear(tail, relation, head)  # BUG


def wrong_jax_attention(
    q: Float[torch.Tensor, "batch heads query dim"],
    k: Float[torch.Tensor, "batch heads key dim"],
    v: Float[torch.Tensor, "batch heads key dim"],
) -> Float[torch.Tensor, "batch query heads*dim"]:
    weights = torch.einsum("bhqd,bhkd->bhqk", q, k).softmax(-1)
    mixed = torch.einsum("bhqk,bhkd->bhqd", weights, v)  # BUG
    return mixed.flatten(2)


def wrong_jax_embed(ids: Int[torch.Tensor, "b s"], table: Float[torch.Tensor, "v d"]) -> Float[torch.Tensor, "b s d"]:
    return table[ids].sum(1)  # BUG


def wrong_split_batch(x: Tensor["4*M", "D"]) -> list[Tensor["M", "D"]]:
    return list(x.chunk(4, dim=1))  # BUG


def wrong_interleave(a: Tensor["B", "N", "D"], b: Tensor["B", "N", "D"]) -> Tensor["B", "2*N", "D"]:
    return torch.stack([a, b], dim=2).flatten(2, 3)  # BUG


def wrong_project_out(x: Tensor["B", "D"], basis: Tensor["K", "D"]) -> Tensor["B", "D"]:
    along = x @ basis.T
    return x - along @ basis.T  # BUG


PROGRAMS = [
    WrongTwoTower,
    wrong_with_neighbours,
    wrong_collate,
    wrong_fuse,
    wrong_pooled,
    wrong_masked_mean,
    wrong_attend,
    wrong_related,
    wrong_jax_attention,
    wrong_jax_embed,
    wrong_split_batch,
    wrong_interleave,
    wrong_project_out,
]

SIZES = {}
