"""Sizes, dtypes, views and writes in place that look wrong and are right."""

import math
from typing import Optional

import torch
import torch.nn.functional as F
from tessera import Tensor, dims
from torch import nn

B, S, D, H = dims("B S D H")


def any_rank(x: Tensor["...", "D"], w: Tensor["D", "E"]) -> Tensor["...", "E"]:
    return x @ w


def unnamed_result(x: Tensor["B", "D"]):
    return x.sum(-1)


def plain_result(x: Tensor["B", "D"], y: torch.Tensor = None) -> torch.Tensor:
    return x if y is None else x + y


def doubled(x: Tensor[B, D]) -> Tensor[B, "2*D"]:
    return torch.cat([x, -x], dim=-1)


def sorted_values(x: Tensor["B", "D"]) -> tuple[Tensor["B", "D"], Tensor["B", "D", torch.int64]]:
    return torch.sort(x, dim=-1, descending=True)


def integer_mean_right(ids: Tensor["B", "S", torch.int64]) -> Tensor["B", torch.float32]:
    return ids.float().mean(dim=1) + ids.sum(1) / ids.shape[1]


def integer_index(x: Tensor["N", "D"], index: Tensor["K", torch.int64]) -> Tensor["K", "D"]:
    return x[index // 2] + x[(index / 2).long()]


def masks(x: Tensor["B", "S"], mask: Tensor["B", "S", torch.bool]) -> Tensor["B", "S"]:
    return x * ~mask + x * (1 - mask.float()) + (x * mask.to(x.dtype)).masked_fill(mask.logical_not(), 0.0)


def counts(mask: Tensor["B", "S", torch.bool]) -> Tensor["B", torch.int64]:
    return mask.sum(-1)


def mixed_dtypes(x: Tensor["B", "D", torch.float32], n: Tensor["B", torch.int64]) -> Tensor["B", "D", torch.float32]:
    return x / n.clamp(min=1).unsqueeze(-1) + torch.tensor(2.0, dtype=torch.float64)


def any_dtype(x: Tensor["B", "D"]) -> Tensor["B", "D"]:
    y = x if x.is_floating_point() else x.float()
    return (y * 2).to(x.dtype)


def through_half(
    x: Tensor["B", "D", torch.float32], w: Tensor["D", "E", torch.float32]
) -> Tensor["B", "E", torch.float32]:
    return (x.bfloat16() @ w.bfloat16()).float()


def autocast(x: Tensor["B", "D"], w: Tensor["D", "E"]) -> Tensor["B", "E", torch.bfloat16]:
    with torch.autocast("cpu", dtype=torch.bfloat16):
        return x @ w


def written(x: Tensor["B", "S", "D"], y: Tensor["B", "D"]) -> Tensor["B", "S", "D"]:
    out = torch.zeros_like(x)
    out[:, 0] = y
    out[:, 1:] = x[:, :-1]
    out[..., -1] = 1.0
    return out


def added_in_place_right(x: Tensor["S", "B", "D"], y: Tensor["B", 1]) -> Tensor["S", "B", "D"]:
    x = x.clone()
    x += y
    x[0] -= y
    x.mul_(0.5).clamp_(min=0)
    return x


def masked_writes(x: Tensor["B", "S", "D"], mask: Tensor["B", "S", torch.bool]) -> Tensor["B", "S", "D"]:
    x = x.clone()
    x[mask] = 0
    x[~mask] += 1
    return torch.where(mask[..., None], x, -x)


def selected(x: Tensor["N", "D"], mask: Tensor["N", torch.bool]) -> Tensor["K", "D"]:
    return x[mask]


def positions_of(mask: Tensor["N", "M", torch.bool]) -> Tensor["K", 2, torch.int64]:
    return mask.nonzero()


def unique_ids(ids: Tensor["N", torch.int64], table: Tensor["V", "D"]) -> Tensor["N", "D"]:
    seen, back = ids.unique(return_inverse=True)
    return table[seen][back]


def views(x: Tensor["B", "S", "D"]) -> Tensor["B", "S", "D"]:
    b, s, d = x.size()
    x = x.view(b * s, d).view(-1, s, d)
    x = x.reshape(-1).reshape(b, -1).unflatten(1, (s, d))
    x = x.transpose(0, 1).contiguous().view(s, b * d).t().reshape(b, d, s).permute(0, 2, 1)
    return x.as_strided(x.size(), x.stride())


def sizes_in_math(x: Tensor["B", "S", "D"]) -> Tensor["B", "S", "D"]:
    s, d = x.shape[1:]
    x = x * d**-0.5 / math.sqrt(d) * math.log(s + 1) + s / d - max(s, d) * min(s, d)
    return x * (x.numel() / x.shape[0]) + math.prod(x.shape)


def expanded_right(x: Tensor["B", "D"], y: Tensor["B", "S", "D"]) -> Tensor["B", "S", "2*D"]:
    return torch.cat([x[:, None].expand_as(y), y], dim=-1)


def repeats(x: Tensor["B", "D"], k: int = 4) -> Tensor["4*B", "D"]:
    return x.repeat(k, 1) + x.repeat_interleave(k, dim=0) + x[None].expand(k, -1, -1).reshape(-1, x.shape[1])


def interleaved_right(x: Tensor["B", "S"]) -> Tensor["B", "2*S"]:
    return torch.stack([x, x], dim=-1).flatten(1)


def tiles(x: Tensor["H", "W"]) -> Tensor["2*H", "3*W"]:
    return x.tile(2, 3)


def flips(x: Tensor["N", "M"]) -> Tensor["M", "N"]:
    return torch.rot90(x.flip(0), dims=(0, 1)) + x.roll(1, 0).T


def triangles(x: Tensor["B", "N", "N"]) -> tuple[Tensor["B", "N", "N"], Tensor["B", "N*(N+1)//2"]]:
    i, j = torch.tril_indices(x.shape[1], x.shape[2])
    return x.triu(1) + x.tril(-1), x[:, i, j]


def meshes(x: Tensor["N"], y: Tensor["M"]) -> tuple[Tensor["N", "M"], Tensor["M", "N"]]:
    a, _ = torch.meshgrid(x, y, indexing="ij")
    _, d = torch.meshgrid(x, y, indexing="xy")
    return a, d


def broadcasts(x: Tensor["B", 1, "D"], y: Tensor["S", 1], z: Tensor[()]) -> Tensor["B", "S", "D"]:
    x, y, z = torch.broadcast_tensors(x, y, z)
    return x + y * z


def broadcast_sizes(x: Tensor["B", 1], y: Tensor["D"]) -> Tensor["B", "D"]:
    shape = torch.broadcast_shapes(x.shape, y.shape)
    return x.expand(shape) - y.broadcast_to(shape)


def windows_even(x: Tensor["B", "4*N", "D"]) -> Tensor["B", "N", "4*D"]:
    return x.unfold(1, 4, 4).flatten(2)


def scattered(x: Tensor["B", "K"], index: Tensor["B", "K", torch.int64], like: Tensor["B", "V"]) -> Tensor["B", "V"]:
    out = torch.zeros_like(like).scatter(1, index, x)
    return out.scatter_add(-1, index, torch.ones_like(x)) + like.index_fill(1, index[0], 0.0)


def stacked_lists(x: Tensor["B", "S", "D"]) -> Tensor["B", "S", "D"]:
    columns = [column for column in x.unbind(-1)]
    rows = torch.stack([torch.stack(columns, -1)[:, t] for t in range(x.shape[1])], 1)
    return torch.vstack([row[None] for row in rows]) + torch.cat(rows.split(1), 0)


def chunks_uneven(x: Tensor["N", "D"]) -> Tensor["N", "D"]:
    parts = x.tensor_split(3) + x.chunk(3) + x.split(4)
    return torch.cat(parts[:3]) + torch.cat([part for part in x.split(4)])


def scalars(x: Tensor["N"]) -> Tensor[()]:
    return x.sum() + x[0] * x.dot(x) + x.max() - x.mean().item() + torch.tensor(float(x.shape[0]))


def optional_chain(
    x: Tensor["B", "D"], a: Optional[Tensor["D"]] = None, b: Optional[Tensor["B", 1]] = None, flip: bool = False
) -> Tensor["B", "D"]:
    for other in (a, b):
        if other is not None:
            x = x * other
    return x.flip(0) if flip else x


class Lazy(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.LazyConv2d(8, 3), nn.LazyBatchNorm2d(), nn.ReLU(), nn.Flatten(), nn.LazyLinear(5))

    def forward(self, x: Tensor["B", 3, 10, 10]) -> Tensor["B", 5]:
        return self.body(x)


class Accumulates(nn.Module):
    def __init__(self, dim: int = 8) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(dim))
        self.register_buffer("count", torch.zeros((), dtype=torch.long))

    def forward(self, x: Tensor["B", 8]) -> Tensor["B", 8]:
        if self.training:
            self.count += x.shape[0]
            self.mean = self.mean + (x.mean(0) - self.mean).detach() * x.shape[0] / self.count
        return x - self.mean


def hooks(x: Tensor["B", "D"]) -> Tensor["B", "D"]:
    with torch.no_grad():
        scale = x.abs().amax(dim=0, keepdim=True)
    return F.layer_norm(x / scale.clamp_min(1e-6), x.shape[-1:])


PROGRAMS = [
    any_rank,
    unnamed_result,
    plain_result,
    doubled,
    sorted_values,
    integer_mean_right,
    integer_index,
    masks,
    counts,
    mixed_dtypes,
    any_dtype,
    through_half,
    autocast,
    written,
    added_in_place_right,
    masked_writes,
    selected,
    positions_of,
    unique_ids,
    views,
    sizes_in_math,
    expanded_right,
    repeats,
    interleaved_right,
    tiles,
    flips,
    triangles,
    meshes,
    broadcasts,
    broadcast_sizes,
    windows_even,
    scattered,
    stacked_lists,
    chunks_uneven,
    scalars,
    optional_chain,
    Lazy,
    Accumulates,
    hooks,
]
SIZES = {"plain_result": {"y": None}}
