"""Losses, metrics and the preparation of data, as functions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional, Union

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import nn

import tessera
import tessera as ts
from tessera import Tensor

B, S, V, D, N, M = ts.dims("B S V D N M")


def token_entropy(logits: Tensor[B, S, V], mask: Tensor[B, S]) -> Tensor[B]:
    log_p = logits.log_softmax(dim=-1)
    entropy = -(log_p.exp() * log_p).sum(dim=-1)
    return (entropy * mask).sum(dim=-1) / mask.sum(dim=-1)


def supervised_contrast(
    features: Float[torch.Tensor, "n d"], labels: Int[torch.Tensor, "n"], temperature: float = 0.1
) -> Float[torch.Tensor, "n"]:
    features = F.normalize(features, dim=-1)
    logits = features @ features.T / temperature
    positive = (labels[:, None] == labels[None, :]).float()
    log_prob = logits - logits.logsumexp(dim=1)[:, None]
    return (positive * log_prob).sum(dim=1) / positive.sum(dim=1)


def mixture_nll(
    target: Float[torch.Tensor, "b d"],
    means: Float[torch.Tensor, "b k d"],
    log_scales: Float[torch.Tensor, "b k d"],
    weights: Float[torch.Tensor, "b k"],
) -> Float[torch.Tensor, "b"]:
    difference = target.unsqueeze(1) - means
    per_dim = -0.5 * (difference * torch.exp(-log_scales)) ** 2 - log_scales
    per_part = per_dim.sum(dim=-1) + weights.log_softmax(dim=-1)
    return -per_part.logsumexp(dim=-1)


def triplet_mining(anchors: Tensor[N, D], others: Tensor[M, D], same: Tensor[N, M, torch.bool]) -> Tensor[N]:
    distance = torch.cdist(anchors, others)
    furthest = distance.masked_fill(~same, -1.0).amax(dim=1)
    nearest = distance.masked_fill(same, 1e9).amin(dim=1)
    return F.relu(furthest - nearest + 0.3)


def class_balanced(
    logits: Tensor["B", "C"], labels: Tensor["B", torch.int64], counts: Tensor["C"], smooth: float = 0.999
) -> Tensor[()]:
    weights = (1 - smooth) / (1 - smooth**counts)
    weights = weights / weights.sum() * logits.shape[1]
    return F.cross_entropy(logits, labels, weight=weights)


@dataclass
class Recording:
    samples: Tensor["channels", 16000]
    label: Tensor[8]


def mix_recordings(first: Recording, second: Recording, amount: float = 0.3) -> Recording:
    samples = (1 - amount) * first.samples + amount * second.samples
    label = (1 - amount) * first.label + amount * second.label
    return Recording(samples=samples, label=label)


def batch_of(sequences: list[Tensor["L", D]], length: int = 32) -> tuple[Tensor[3, 32, D], Tensor[3, 32]]:
    rows, masks = [], []
    for sequence in sequences:
        missing = length - sequence.shape[0]
        rows.append(F.pad(sequence, (0, 0, 0, missing)))
        masks.append(F.pad(torch.ones(sequence.shape[0]), (0, missing)))
    return torch.stack(rows), torch.stack(masks)


def retrieval_recall(queries: Tensor[N, D], gallery: Tensor[M, D], relevant: Tensor[N, torch.int64]) -> Tensor[N]:
    similarity = F.normalize(queries, dim=-1) @ F.normalize(gallery, dim=-1).T
    top = similarity.topk(3, dim=1).indices
    hit = top == relevant[:, None]
    return hit.any(dim=1).float()


def whiten_features(x: Float[torch.Tensor, "*batch n d"]) -> Float[torch.Tensor, "*batch n d"]:
    centred = x - x.mean(dim=-2, keepdim=True)
    covariance = centred.transpose(-1, -2) @ centred / x.shape[-2]
    values, vectors = torch.linalg.eigh(covariance)
    scale = (values.clamp(min=1e-5)).rsqrt()
    return centred @ (vectors * scale.unsqueeze(-2))


def random_erase(
    images: Tensor["B", 3, "H", "W"], top: Tensor["B", torch.int64], left: Tensor["B", torch.int64], side: int = 8
) -> Tensor["B", 3, "H", "W"]:
    rows = torch.arange(images.shape[2])[None, :]
    columns = torch.arange(images.shape[3])[None, :]
    in_rows = (rows >= top[:, None]) & (rows < top[:, None] + side)
    in_columns = (columns >= left[:, None]) & (columns < left[:, None] + side)
    box = in_rows[:, :, None] & in_columns[:, None, :]
    return images.masked_fill(box[:, None], 0.0)


PROGRAMS = [
    lambda: tessera.function(token_entropy),
    supervised_contrast,
    mixture_nll,
    triplet_mining,
    class_balanced,
    mix_recordings,
    batch_of,
    retrieval_recall,
    whiten_features,
    random_erase,
]
SIZES = {"batch_of": {"L": (20, 31, 7)}, "retrieval_recall": {"M": (17, 9, 12)}}
