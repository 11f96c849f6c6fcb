"""Batches, targets and metrics: the code between the loader and the model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Dict, List, NamedTuple, Optional, Tuple

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from tessera import Tensor
from torch import nn


def wrong_pad_to_longest(a: Tensor["N", "D"], b: Tensor["M", "D"], c: Tensor["N+M", "D"]) -> Tensor[3, "N+M", "D"]:
    longest = c.shape[0]
    rows = [F.pad(x, (0, longest - x.shape[0])) for x in (a, b, c)]  # BUG
    return torch.stack(rows)  # HURTS


def wrong_shift_right(ids: Tensor["B", "S", torch.int64], start: int = 0) -> Tensor["B", "S", torch.int64]:
    begin = torch.full((ids.shape[0], 1), start)
    return torch.cat([begin, ids], dim=1)  # BUG


def wrong_causal_and_padding(mask: Tensor["B", "S", torch.bool]) -> Tensor["B", 1, "S", "S", torch.bool]:
    s = mask.shape[1]
    causal = torch.ones(s, s, dtype=torch.bool).tril()
    return causal & mask[:, None, :]  # BUG


@dataclass
class Sample:
    signal: Tensor["B", "T", 6]
    weight: Tensor["B", "T"]
    target: Tensor["B", 6]


def wrong_weighted_average(sample: Sample) -> Tensor["B", 6]:
    total = sample.weight.sum(dim=1)  # BUG
    return (sample.signal * sample.weight.unsqueeze(-1)).sum(dim=1) / total  # HURTS


def wrong_mse_per_channel(sample: Sample) -> Tensor[6]:
    error = sample.signal - sample.target[:, :, None]  # BUG
    return error.pow(2).mean(dim=(0, 1))


def wrong_select_tokens(hidden: Tensor["B", "S", "D"], index: Tensor["B", "K", torch.int64]) -> Tensor["B", "K", "D"]:
    d = hidden.shape[-1]
    index = index.unsqueeze(-1).expand(-1, -1, d)
    return hidden.gather(2, index)  # BUG


def wrong_box_area(boxes: Tensor["B", "N", 4]) -> Tensor["B", "N"]:
    lt, rb = boxes[..., :2], boxes[..., 2:]
    return (rb - lt).prod(dim=1)  # BUG


def wrong_mixup(
    x: Tensor["B", "C", "H", "W"], y: Tensor["B", "K"], lam: Tensor["B"]
) -> Tuple[Tensor["B", "C", "H", "W"], Tensor["B", "K"]]:
    other_x, other_y = x.flip(0), y.flip(0)
    weight = lam[:, None, None, None]
    images = weight * x + (1 - weight) * other_x
    labels = weight * y + (1 - weight) * other_y  # BUG
    return images, labels


def wrong_split_three(
    x: Tensor["B", "S", "3*D"],
) -> Tuple[Tensor["B", "S", "D"], Tensor["B", "S", "D"], Tensor["B", "S", "D"]]:
    q, k, v = x.chunk(3, dim=1)  # BUG
    return q, k, v


def wrong_stratified(logits: Tensor["B", "C"], groups: Tensor["B", "G"]) -> Tensor["G", "C"]:
    weights = groups / groups.sum(dim=1)  # BUG
    return weights.T @ logits.softmax(-1)


def wrong_whiten(x: Tensor["N", "D"]) -> Tensor["N", "D"]:
    centred = x - x.mean(dim=0)
    cov = centred @ centred.T / (x.shape[0] - 1)  # BUG
    values, vectors = torch.linalg.eigh(cov)
    return centred @ vectors / (values + 1e-5).sqrt()  # HURTS


def wrong_sinkhorn(cost: Tensor["B", "N", "M"]) -> Tensor["B", "N", "M"]:
    u = torch.zeros_like(cost[:, :, 0])
    v = torch.zeros_like(cost[:, :, 0])  # BUG
    for _ in range(4):
        u = -torch.logsumexp(-cost + v[:, None, :], dim=2)  # HURTS
        v = -torch.logsumexp(-cost + u[:, :, None], dim=1)
    return (-cost + u[:, :, None] + v[:, None, :]).exp()


def wrong_jax_masked_mean(
    x: Float[torch.Tensor, "b t d"], mask: Bool[torch.Tensor, "b t"]
) -> Float[torch.Tensor, "b d"]:
    weight = mask.to(x.dtype)[..., None]
    return (x * weight).sum(1) / weight.sum(2).clamp(min=1.0)  # BUG


def wrong_jax_lookup(
    table: Float[torch.Tensor, "vocab dim"], ids: Int[torch.Tensor, "b s"], scale: Float[torch.Tensor, "dim"]
) -> Float[torch.Tensor, "b s dim"]:
    return F.embedding(ids, table.T) * scale  # BUG


def distances(a, b):
    return (a.unsqueeze(1) - b.unsqueeze(0)).norm(dim=-1)


def wrong_chamfer(p: Tensor["N", 3], q: Tensor["M", 3]) -> Tuple[Tensor["N"], Tensor["M"]]:
    d = distances(p, q)
    return d.amin(dim=0), d.amin(dim=1)  # BUG


def blend(base, delta, weight):
    return base + weight[:, None] * delta  # HURTS


def wrong_corrected(x: Tensor["B", "D"], residual: Tensor["B", "D"], gain: Tensor["B"]) -> Tensor["B", "D"]:
    return blend(x, gain, residual)  # BUG


def wrong_crops(images: Tensor["B", "C", 36, 36], size: int = 32) -> List[Tensor["B", "C", 32, 32]]:
    corners = [(0, 0), (0, 4), (4, 0), (4, 4)]
    return [images[:, :, y : y + size, x:size] for y, x in corners]  # BUG


def wrong_losses(out: Dict[str, Tensor["B", "C"]], target: Tensor["B", "C"]) -> Dict[str, Tensor["B"]]:
    return {name: (value - target).abs().mean(dim=0) for name, value in out.items()}  # BUG


def wrong_swapped_names(
    a: Tensor["N", "K"],
    w: Tensor["M", "K"],  # BUG
    bias: Tensor["M"],
) -> Tensor["N", "M"]:
    return a @ w + bias  # HURTS


def wrong_short_result(
    x: Tensor["B", "T", "D"],
    kernel: Tensor["D", 1, 3],
) -> Tensor["B", "D", "T"]:  # BUG
    return F.conv1d(x.transpose(1, 2), kernel, groups=x.shape[-1])


PROGRAMS = [
    wrong_pad_to_longest,
    wrong_shift_right,
    wrong_causal_and_padding,
    wrong_weighted_average,
    wrong_mse_per_channel,
    wrong_select_tokens,
    wrong_box_area,
    wrong_mixup,
    wrong_split_three,
    wrong_stratified,
    wrong_whiten,
    wrong_sinkhorn,
    wrong_jax_masked_mean,
    wrong_jax_lookup,
    wrong_chamfer,
    wrong_corrected,
    wrong_crops,
    wrong_losses,
    wrong_swapped_names,
    wrong_short_result,
]

SIZES = {
    "wrong_jax_lookup": {"vocab": (40, 30, 20)},
    "wrong_weighted_average": {"B": (5, 7, 11)},
    "wrong_select_tokens": {"S": (3, 4, 5), "K": (7, 9, 8)},
}
