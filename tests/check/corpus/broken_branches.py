"""Bugs on one side of an `if`, in a later turn, in a helper, in a nested function or in a container."""

from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, Optional, Union

import torch
import torch.nn.functional as F
from tessera import Tensor
from torch import nn


def keep_batch(x: Tensor["B", "S", "D"], pool: bool) -> Tensor["B", "D"]:
    if pool:
        return x.mean(dim=2)  # BUG
    return x[:, 0]


def pooled(x: Tensor["B", "S", "D"], how: Literal["mean", "max", "last"] = "mean") -> Tensor["B", "D"]:
    if how == "mean":
        return x.mean(1)
    if how == "max":
        return x.max(dim=1)  # BUG
    return x[:, -1]


def long_or_short(x: Tensor["B", "S", "D"]) -> Tensor["B", 4, "D"]:
    if x.shape[1] >= 4:
        return x[:, -5:]  # BUG
    return F.pad(x, (0, 0, 4 - x.shape[1], 0))


def by_size(x: Tensor["B", "S", "D"], w: Tensor["D", "D"]) -> Tensor["B", "S", "D"]:
    if x.size(1) > 8:
        halves = x.chunk(2, dim=1)
        x = torch.cat([half @ w for half in halves], dim=0)  # BUG
    else:
        x = x @ w
    return x


def by_data(x: Tensor["B", "D"], w: Tensor["D", "D"]) -> Tensor["B", "D"]:
    if x.abs().max() > 0.1:
        x = x / x.abs().max(dim=1).values  # BUG
    return x @ w


def optional_bias(
    x: Tensor["B", "D"],
    w: Tensor["D", "H"],
    bias: Optional[Tensor["D"]] = None,  # BUG
) -> Tensor["B", "H"]:
    y = x @ w
    if bias is not None:
        y = y + bias  # HURTS
    return y


def optional_state(x: Tensor["B", "D"], w: Tensor["D", "H"], state: Tensor["B", "H"] | None = None) -> Tensor["B", "H"]:
    if state is None:
        state = torch.zeros(w.shape[1], x.shape[0])  # BUG
    return x @ w + state  # HURTS


def early_return(x: Tensor["B", "D"], w: Tensor["D", 10], logits_only: bool = False) -> Tensor["B", 10]:
    logits = x @ w
    if logits_only:
        return logits.argmax(-1)  # BUG
    return logits.softmax(-1)


class TrainOnly(nn.Module):
    def __init__(self):
        super().__init__()
        self.proj = nn.Linear(16, 16)
        self.noise = nn.Parameter(torch.ones(32))  # BUG

    def forward(self, x: Tensor["B", "S", 16], train: bool = False) -> Tensor["B", "S", 16]:
        x = self.proj(x)
        if train:
            x = x + torch.randn_like(x) * self.noise  # HURTS
        return x


def third_turn(x: Tensor["B", "D"], ws: list[Tensor["D", "D"]]) -> Tensor["B", "D"]:
    for i, w in enumerate(ws):
        x = x @ w
        if i == 2:
            x = x.unsqueeze(0)  # BUG
    return x


def loop_grows(x: Tensor["B", "D"], w: Tensor["D", "D"]) -> Tensor["B", "3*D"]:
    seen = x
    for _ in range(3):  # BUG
        seen = torch.cat([seen, seen[:, -w.shape[0] :] @ w], dim=1)
    return seen


def helper_scale(x, scale):
    return x * scale.unsqueeze(0)  # BUG


def calls_helper(x: Tensor["B", "S"], scale: Tensor["B"]) -> Tensor["B", "S"]:
    return helper_scale(x, scale)


def project_with(x, w):
    return torch.einsum("bd,de->be", x, w)  # HURTS


def swapped_arguments(x: Tensor["B", "D"], w: Tensor["D", "E"]) -> Tensor["B", "E"]:
    return project_with(w, x).relu()  # BUG


def inner_helper(x: Tensor["B", "S", "D"], w: Tensor["D", "E"]) -> Tensor["B", "S", "E"]:
    def step(row):
        return row.T @ w  # BUG

    return torch.stack([step(row) for row in x])


def gram_of_columns(x: Tensor["N", "D"]):
    return x.mT @ x  # BUG


def uses_gram(x: Tensor["B", "D"]) -> Tensor["B", "B"]:
    return gram_of_columns(x) + torch.eye(x.shape[0])  # HURTS


class Batch(NamedTuple):
    ids: Tensor["B", "S", torch.int64]
    mask: Tensor["B", "S"]


def masked_embedding(batch: Batch, table: Tensor["V", "D"]) -> Tensor["B", "D"]:
    rows = table[batch.ids]
    return (rows * batch.mask).sum(1)  # BUG


@dataclass
class Sample:
    image: Tensor["B", 3, "H", "W"]
    mask: Tensor["B", "H", "W"]
    weights: dict[str, float] = field(default_factory=dict)


def cut_out(sample: Sample) -> Tensor["B", 3]:
    picked = sample.image * sample.mask[:, None]
    return picked.sum((2, 3)) / sample.mask.sum((1, 2))  # BUG


def from_dict(parts: dict[str, Tensor["B", "D"]]) -> Tensor["B", "2*D"]:
    return torch.cat([parts["left"], parts["right"]])  # BUG


def of_list(xs: list[Tensor["B", "D"]]) -> Tensor["B", "D"]:
    return torch.stack(xs, dim=0).sum(1)  # BUG


def two_results(x: Tensor["B", "S", "D"]) -> tuple[Tensor["B", "D"], Tensor["B", "S"]]:
    mean = x.mean(1)
    norm = x.norm(dim=1)  # BUG
    return mean, norm


def results_swapped(q: Tensor["B", "S", "D"], k: Tensor["B", "S", "E"]) -> tuple[Tensor["B", "D"], Tensor["B", "E"]]:
    left, right = q.sum(1), k.sum(1)
    return right, left  # BUG


def union_of_ranks(x: Union[Tensor["B", "D"], Tensor["B", "S", "D"]], w: Tensor["D", "E"]) -> Tensor["B", "E"]:
    y = x @ w
    if y.dim() == 3:
        y = y.mean(0)  # BUG
    return y


def recursive(x: Tensor["B", "D"], w: Tensor["D", "D"], depth: int = 3) -> Tensor["B", "D"]:
    if depth == 0:
        return x.t()  # BUG
    return recursive(torch.tanh(x @ w), w, depth - 1)


def variadic(*xs: Tensor["B", "D"]) -> Tensor["B", "D"]:
    total: Any = 0
    for x in xs:
        total = total + x.mean(1)  # BUG
    return total


def keywords(**parts: Tensor["B", "D"]) -> Tensor["B", "D"]:
    return torch.stack(list(parts.values()), dim=1).sum(2)  # BUG


def in_comprehension(x: Tensor["B", "S", "D"]) -> Tensor["B", "S"]:
    return torch.stack([x[:, i].norm(dim=-1) for i in range(x.shape[2])], dim=1)  # BUG


PROGRAMS = [
    keep_batch,
    pooled,
    long_or_short,
    by_size,
    by_data,
    optional_bias,
    optional_state,
    early_return,
    TrainOnly,
    third_turn,
    loop_grows,
    calls_helper,
    swapped_arguments,
    inner_helper,
    uses_gram,
    masked_embedding,
    cut_out,
    from_dict,
    of_list,
    two_results,
    results_swapped,
    union_of_ranks,
    recursive,
    variadic,
    keywords,
    in_comprehension,
]
SIZES = {
    "long_or_short": {"S": (7, 11, 6)},
    "by_size": {"S": (11, 13, 10)},
    "in_comprehension": {"S": (17, 20, 31), "D": (5, 7, 4)},
}
