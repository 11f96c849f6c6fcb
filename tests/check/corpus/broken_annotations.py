"""Annotations that are wrong themselves, wrong dtypes, writes in place: each with one bug."""

from typing import Optional

import torch
import torch.nn.functional as F
from tessera import Tensor, dims
from torch import nn

B, S, D, H = dims("B S D H")


def transposed_promise(
    x: Tensor["B", "S", "D"],
) -> Tensor["B", "S", "D"]:  # BUG
    return x.transpose(1, 2)  # HURTS


def flat_promise(
    x: Tensor["B", "C", "H", "W"],
) -> Tensor["B", "C+H+W"]:  # BUG
    return x.flatten(1)  # HURTS


def doubled_promise(
    x: Tensor[B, D],
) -> Tensor[B, D]:  # BUG
    return torch.cat([x, -x], dim=-1)  # HURTS


def missing_batch(
    x: Tensor["S", "D"],  # BUG
    w: Tensor["D", "E"],
) -> Tensor["B", "S", "E"]:
    return x @ w  # HURTS


def narrow_weight(
    x: Tensor["B", 512],
    w: Tensor[256, 128],  # BUG
) -> Tensor["B", 128]:
    return x @ w  # HURTS


class Declared(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 8))

    def forward(
        self,
        x: Tensor["B", 32],  # BUG
    ) -> Tensor["B", 8]:
        return self.body(x)  # HURTS


def one_result(
    x: Tensor["B", "D"],
) -> Tensor["B", "D"]:  # BUG
    return torch.sort(x, dim=-1)  # HURTS


def three_results(
    x: Tensor["N", "D"],
) -> tuple[Tensor["N", "N"], Tensor["N"]]:  # BUG
    u, s, _ = torch.linalg.svd(x @ x.T + x.sum(), full_matrices=False)
    return u, s, x  # HURTS


def float_index(x: Tensor["N", "D"], index: Tensor["K", torch.int64]) -> Tensor["K", "D"]:
    rows = index / 2  # BUG
    return x[rows]  # HURTS


def integer_mean(ids: Tensor["B", "S", torch.int64]) -> Tensor["B"]:
    return ids.mean(dim=1)  # BUG


def negated_mask(x: Tensor["B", "S"], mask: Tensor["B", "S", torch.bool]) -> Tensor["B", "S"]:
    return x * (1 - mask)  # BUG


def float_labels(logits: Tensor["B", "C"], labels: Tensor["B", torch.int64]) -> Tensor[()]:
    labels = labels.float()  # BUG
    return F.cross_entropy(logits, labels)  # HURTS


def declared_counts(mask: Tensor["B", "S", torch.bool]) -> Tensor["B", torch.int64]:
    return mask.float().sum(-1)  # BUG


def half_of_it(
    x: Tensor["B", "D", torch.float32], w: Tensor["D", "E", torch.float32]
) -> Tensor["B", "E", torch.float32]:
    x = x.half()  # BUG
    return x @ w  # HURTS


def double_trouble(x: Tensor["B", "D", torch.float32]) -> Tensor["B", "D", torch.float32]:
    steps = torch.arange(x.shape[1], dtype=torch.float64)  # BUG
    return x + steps


def written_wide(x: Tensor["B", "S", "D"], y: Tensor["B", "D"]) -> Tensor["B", "S", "D"]:
    out = torch.zeros_like(x)
    out[:, 0, :] = y.T  # BUG
    return out


def added_in_place(x: Tensor["B", "D"], y: Tensor["S", "B", "D"]) -> Tensor["B", "D"]:
    x = x.clone()
    x += y  # BUG
    return x


def bias_in_place(x: Tensor["B", "D"], bias: Tensor["D"]) -> Tensor["D"]:
    bias = bias.clone()
    bias.add_(x.sum(1))  # BUG
    return bias


def shifted_in_place(x: Tensor["B", "S"]) -> Tensor["B", "S"]:
    out = x.clone()
    out[:, 1:] = x  # BUG
    return out


def copied(buffer: Tensor["L", "D"], x: Tensor["S", "D"]) -> Tensor["L", "D"]:
    buffer = buffer.clone()
    buffer.copy_(x)  # BUG
    return buffer


def hard_batch(x: Tensor["B", "S", "D"]) -> Tensor["B", "S*D"]:
    return x.view(32, -1)  # BUG


def hard_length(x: Tensor["B", "S", "D"], w: Tensor["D", "D"]) -> Tensor["B", "S", "D"]:
    positions = torch.arange(128)  # BUG
    return x @ w + positions[:, None]  # HURTS


def hard_state(x: Tensor["T", "B", "D"], state: Optional[Tensor["B", "D"]] = None) -> Tensor["B", "D"]:
    if state is None:
        state = torch.zeros(64, x.shape[-1])  # BUG
    for step in x:
        state = torch.tanh(step + state)  # HURTS
    return state


def squeezed_twice(x: Tensor["B", 1, "D"]) -> Tensor["B", "D"]:
    return x.squeeze(2)  # BUG


def unsqueezed(x: Tensor["B", "D"], y: Tensor["B", "S", "D"]) -> Tensor["B", "S+1", "D"]:
    return torch.cat([x.unsqueeze(-1), y], dim=1)  # BUG


def expanded(x: Tensor["B", "D"], y: Tensor["B", "S", "D"]) -> Tensor["B", "S", "2*D"]:
    wide = x[:, None].expand(-1, y.shape[2], -1)  # BUG
    return torch.cat([wide, y], dim=-1)  # HURTS


def repeated(x: Tensor["B", "D"], k: int = 4) -> Tensor["4*B", "D"]:
    return x.repeat(1, k)  # BUG


def interleaved(x: Tensor["B", "S"]) -> Tensor["B", "2*S"]:
    return torch.stack([x, x], dim=1).flatten(0, 1)  # BUG


def order_of_view(x: Tensor["B", "C", "H", "W"]) -> Tensor["B", "H*W", "C"]:
    return x.flatten(2)  # BUG


def too_few(x: Tensor["B", 12]) -> Tensor["B", 3, 4]:
    a, b = x.split(4, dim=-1)  # BUG
    return torch.stack([a, b, a], 1)


PROGRAMS = [
    transposed_promise,
    flat_promise,
    doubled_promise,
    missing_batch,
    narrow_weight,
    Declared,
    one_result,
    three_results,
    float_index,
    integer_mean,
    negated_mask,
    float_labels,
    declared_counts,
    half_of_it,
    double_trouble,
    written_wide,
    added_in_place,
    bias_in_place,
    shifted_in_place,
    copied,
    hard_batch,
    hard_length,
    hard_state,
    squeezed_twice,
    unsqueezed,
    expanded,
    repeated,
    interleaved,
    order_of_view,
    too_few,
]
