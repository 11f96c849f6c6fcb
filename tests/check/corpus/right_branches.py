"""Branches, loops, helpers and containers that look wrong and are right."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import partial, reduce
from typing import Any, Literal, NamedTuple, Optional, Union

import torch
import torch.nn.functional as F
from tessera import Tensor
from torch import nn


def keep_batch_right(x: Tensor["B", "S", "D"], pool: bool) -> Tensor["B", "D"]:
    if pool:
        return x.mean(dim=1)
    return x[:, 0]


def pooled_right(x: Tensor["B", "S", "D"], how: Literal["mean", "max", "last"] = "mean") -> Tensor["B", "D"]:
    if how == "mean":
        return x.mean(1)
    elif how == "max":
        return x.max(dim=1).values
    elif how == "last":
        return x[:, -1]
    raise ValueError(how)


def last_four(x: Tensor["B", "S", "D"]) -> Tensor["B", 4, "D"]:
    if x.shape[1] >= 4:
        return x[:, -4:]
    return F.pad(x, (0, 0, 4 - x.shape[1], 0))


def by_size_right(x: Tensor["B", "S", "D"], w: Tensor["D", "D"]) -> Tensor["B", "S", "D"]:
    if x.size(1) > 8:
        return torch.cat([half @ w for half in x.chunk(2, dim=1)], dim=1)
    return x @ w


def at_most(x: Tensor["B", "S", "D"], table: Tensor["L", "D"]) -> Tensor["B", "S", "D"]:
    if x.shape[1] > table.shape[0]:
        raise ValueError(f"{x.shape[1]} positions are more than {table.shape[0]}")
    return x + table[: x.shape[1]]


def asserted_even(x: Tensor["B", "D"]) -> tuple[Tensor["B", "D//2"], Tensor["B", "D//2"]]:
    assert x.shape[1] % 2 == 0, "even"
    half = x.shape[1] // 2
    return x[:, :half], x[:, half:]


def asserted_equal(x: Tensor["B", "N"], y: Tensor["B", "M"]) -> Tensor["B", "N"]:
    assert x.shape == y.shape
    return x + y


def only_square(x: Tensor["N", "M"]) -> Tensor["N", "N"]:
    if x.shape[0] != x.shape[1]:
        return x @ x.T
    return x + x.T


def by_data_right(x: Tensor["B", "D"], w: Tensor["D", "D"]) -> Tensor["B", "D"]:
    if x.abs().max() > 0.1:
        x = x / x.abs().max(dim=1, keepdim=True).values
    return x @ w


def until_small(x: Tensor["B", "D"]) -> Tensor["B", "D"]:
    turns = 0
    while x.norm() > 1 and turns < 10:
        x, turns = x / 2, turns + 1
    return x


def optional_all(
    x: Tensor["B", "D"],
    w: Tensor["D", "H"],
    bias: Optional[Tensor["H"]] = None,
    gate: Tensor["B", 1] | None = None,
) -> Tensor["B", "H"]:
    y = x @ w
    if bias is not None:
        y = y + bias
    return y * gate if gate is not None else y


def optional_or(x: Tensor["B", "D"], other: Optional[Tensor["B", "D"]] = None) -> Tensor["B", "B"]:
    other = x if other is None else other
    return x @ other.T


class Switch(nn.Module):
    def __init__(self, bias: bool = True, norm: str = "layer"):
        super().__init__()
        self.proj = nn.Linear(16, 16, bias=bias)
        self.norm = nn.LayerNorm(16) if norm == "layer" else None
        self.scale = nn.Parameter(torch.ones(16))

    def forward(self, x: Tensor["B", "S", 16], train: bool = False) -> Tensor["B", "S", 16]:
        x = self.proj(x)
        if self.norm is not None:
            x = self.norm(x)
        if self.training and train:
            x = x + torch.randn_like(x) * self.scale
        return x if self.proj.bias is None else x - self.proj.bias


def alternating(x: Tensor["A", "B"], y: Tensor["B", "A"]) -> Tensor["A", "B"]:
    state = x
    for i in range(4):
        state = state.t() + (y if i % 2 == 0 else x)
    return state


def grows_to_four(x: Tensor["B", "D"], w: Tensor["D", "D"]) -> Tensor["B", "4*D"]:
    seen = x
    for _ in range(3):
        seen = torch.cat([seen, seen[:, -w.shape[0] :] @ w], dim=1)
    return seen


def grows_with_size(x: Tensor["B", "S", "D"]) -> Tensor["B", "S", "D"]:
    out = x[:, :0]
    for t in range(x.shape[1]):
        out = torch.cat([out, out[:, -1:] + x[:, t : t + 1] if t else x[:, :1]], dim=1)
    return out


def helper(x, scale, dim):
    return x * scale.unsqueeze(dim)


def calls_helper_twice(x: Tensor["B", "S"], rows: Tensor["B"], columns: Tensor["S"]) -> Tensor["B", "S"]:
    return helper(helper(x, rows, 1), columns, 0)


def nested(x: Tensor["B", "S", "D"], w: Tensor["D", "E"]) -> Tensor["B", "S", "E"]:
    scale = x.shape[-1] ** -0.5

    def step(row):
        return (row @ w) * scale

    return torch.stack([step(row) for row in x])


def of_generator(x: Tensor["B", "S", "D"]) -> Tensor["S", "B"]:
    def norms() -> Iterator[torch.Tensor]:
        for t in range(x.shape[1]):
            yield x[:, t].norm(dim=-1)

    return torch.stack(list(norms()))


def of_closure(x: Tensor["B", "D"], ws: list[Tensor["D", "D"]]) -> Tensor["B", "D"]:
    layers = [partial(torch.matmul, other=w) for w in ws]
    return reduce(lambda h, layer: layer(h).tanh(), layers, x)


class Batch(NamedTuple):
    ids: Tensor["B", "S", torch.int64]
    mask: Tensor["B", "S"]


def masked_embedding_right(batch: Batch, table: Tensor["V", "D"]) -> Tensor["B", "D"]:
    ids, mask = batch
    return (table[ids] * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)


@dataclass(frozen=True)
class Sample:
    image: Tensor["B", 3, "H", "W"]
    mask: Tensor["B", "H", "W"]
    weights: dict[str, float] = field(default_factory=dict)


def cut_out_right(sample: Sample) -> Sample:
    image = sample.image * sample.mask[:, None]
    return replace(sample, image=image.flip(-1), mask=sample.mask.flip(-1))


def from_dict_right(parts: dict[str, Tensor["B", "D"]]) -> Tensor["B", "2*D"]:
    return torch.cat([parts["left"], parts["right"]], dim=-1)


def to_dict(x: Tensor["B", "S", "D"]) -> dict[str, Tensor["B", "D"]]:
    out = {"mean": x.mean(1), "max": x.amax(1)}
    out["last"] = x[:, -1]
    return {name: value - value.mean() for name, value in out.items()}


def of_list_right(xs: list[Tensor["B", "D"]]) -> Tensor["B", "D"]:
    return torch.stack(xs).mean(0) + sum(xs)


def two_results_right(x: Tensor["B", "S", "D"]) -> tuple[Tensor["B", "D"], Tensor["B", "S"]]:
    return x.mean(1), x.norm(dim=2)


def union_of_ranks_right(x: Union[Tensor["B", "D"], Tensor["B", "S", "D"]], w: Tensor["D", "E"]) -> Tensor["B", "E"]:
    y = x @ w
    if y.dim() == 3:
        y = y.mean(1)
    return y


def recursive_right(x: Tensor["B", "D"], w: Tensor["D", "D"], depth: int = 3) -> Tensor["B", "D"]:
    if depth == 0:
        return x
    return recursive_right(torch.tanh(x @ w), w, depth - 1)


def halves_added(x: Any) -> Any:
    n = x.shape[1]
    return x[:, 0] if n == 1 else halves_added(x[:, : n // 2] + x[:, n // 2 :])


def tree_sum(x: Tensor["B", 8, "D"]) -> Tensor["B", "D"]:
    return halves_added(x)


def variadic_right(*xs: Tensor["B", "D"], **named: Tensor["B", 1]) -> Tensor["B", "D"]:
    total: Any = 0
    for x in xs:
        total = total + x
    for value in named.values():
        total = total * value
    return total


def tried(x: Tensor["N", "N"]) -> Tensor["N", "N"]:
    a = x @ x.mT + torch.eye(x.shape[0])
    try:
        return torch.linalg.cholesky(a)
    except RuntimeError:
        return torch.linalg.eigh(a)[1]


def printed(x: Tensor["B", "D"], verbose: bool = False) -> Tensor["B", "D"]:
    if verbose:
        print(f"{tuple(x.shape)=} {x.dtype} {x.mean().item():.3f}", end="")
    return x


PROGRAMS = [
    keep_batch_right,
    pooled_right,
    last_four,
    by_size_right,
    at_most,
    asserted_even,
    asserted_equal,
    only_square,
    by_data_right,
    until_small,
    optional_all,
    optional_or,
    Switch,
    alternating,
    grows_to_four,
    grows_with_size,
    calls_helper_twice,
    nested,
    of_generator,
    of_closure,
    masked_embedding_right,
    cut_out_right,
    from_dict_right,
    to_dict,
    of_list_right,
    two_results_right,
    union_of_ranks_right,
    recursive_right,
    tree_sum,
    variadic_right,
    tried,
    printed,
]
SIZES = {
    "at_most": {"L": (50, 60, 70)},
    "asserted_even": {"D": 2},
    "asserted_equal": {"N": (6, 8, 3), "M": (6, 8, 3)},
    "last_four": {"S": (7, 2, 4)},
    "only_square": {"N": (3, 5, 4), "M": (3, 6, 4)},
}
