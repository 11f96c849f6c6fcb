"""Attention in many spellings, put together at random; each is a function of tensors that autograd can follow."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

SCORES = ("matmul", "einsum", "einsum_mixed", "bmm", "baddbmm", "transposed", "grouped")
SOFTMAX = ("function", "method", "float32", "written", "stable", "log_softmax")
SCALES = ("before", "both", "after", "division", "tensor", "none", "in_place", "learned", "sqrt")
PRODUCTS = ("matmul", "einsum", "bmm", "sequence_first")


def _baddbmm(q: Tensor, k: Tensor) -> Tensor:
    empty = torch.empty(q.shape[0] * q.shape[1], q.shape[2], k.shape[2], dtype=q.dtype)
    s = torch.baddbmm(empty, q.flatten(0, 1), k.flatten(0, 1).mT, beta=0, alpha=0.5)
    return 2 * s.unflatten(0, q.shape[:2])


def _bmm(q: Tensor, k: Tensor) -> Tensor:
    s = torch.bmm(q.reshape(-1, *q.shape[2:]), k.reshape(-1, *k.shape[2:]).transpose(1, 2))
    return s.view(*q.shape[:2], *s.shape[1:])


_PLAIN_SCORES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "matmul": lambda q, k: q @ k.transpose(-1, -2),
    "einsum": lambda q, k: torch.einsum("bhsd,bhtd->bhst", q, k),
    "transposed": lambda q, k: (k @ q.mT).mT,
    "bmm": _bmm,
    "baddbmm": _baddbmm,
}


def _future(s: Tensor) -> Tensor:
    return torch.ones(s.shape[-2:], dtype=torch.bool).triu(1)


def _window(s: Tensor) -> Tensor:
    apart = torch.arange(s.shape[-2]).unsqueeze(1) - torch.arange(s.shape[-1])
    return (apart > 2) | (apart < 0)


def _alibi(s: Tensor) -> Tensor:
    slopes = torch.tensor([2.0 ** -(i + 1) for i in range(s.shape[1])], dtype=s.dtype)
    return slopes.view(-1, 1, 1) * (torch.arange(s.shape[-1]) - torch.arange(s.shape[-2])[:, None]).to(s.dtype)


def _where(s: Tensor, low: float, *_: Tensor) -> Tensor:
    return torch.where(torch.arange(s.shape[-2])[:, None] >= torch.arange(s.shape[-1]), s, low)


# (scores, what is filled in, padding [batch, 1, 1, columns], a buffer of a triangle, a bias) -> scores
_MASKS: dict[str, Callable[..., Tensor]] = {
    "none": lambda s, *_: s,
    "fill": lambda s, low, *_: s.masked_fill(_future(s), low),
    "where": _where,
    "add": lambda s, low, *_: s + torch.full(s.shape[-2:], low, dtype=s.dtype).triu(1),
    "zero": lambda s, low, *_: s.masked_fill(torch.tril(torch.ones(s.shape[-2:])) == 0, low),
    "in_place": lambda s, low, *_: s.masked_fill_(_future(s), low),
    "buffer": lambda s, low, _, t, __: s.masked_fill(t[: s.shape[-2], : s.shape[-1]] == 0, low),
    "padding": lambda s, low, p, *_: s.masked_fill(~p, low),
    "padding_wide": lambda s, low, p, *_: s.masked_fill(p.expand(s.shape).logical_not(), low),
    "padding_where": lambda s, low, p, *_: torch.where(p, s, torch.tensor(low, dtype=s.dtype)),
    "window": lambda s, low, *_: s.masked_fill(_window(s), low),
    "alibi": lambda s, *_: s + _alibi(s),
    "bias": lambda s, _, __, ___, b: b + s,
    "additive": lambda s, _, p, *__: s - (1.0 - p.to(s.dtype)) * 1e4,
}
MASKS = (*_MASKS, "fill+alibi", "alibi+add", "padding+fill", "bias+buffer+padding_where", "window+additive")


@dataclass
class Spelling:
    """One way to write attention; ``inputs`` are q, k, v of ``[batch, seq, heads * dim]``, then what else it needs."""

    scores: str
    softmax: str
    scale: str
    mask: str
    product: str
    batch: int
    rows: int
    columns: int
    heads: int
    groups: int
    dim: int
    seed: int
    inputs: list[Tensor] = field(default_factory=list)

    def __str__(self) -> str:
        sizes = f"B{self.batch}S{self.rows}T{self.columns}H{self.heads}G{self.groups}D{self.dim}"
        return "-".join([self.scores, self.softmax, self.scale, self.mask, self.product, sizes, str(self.seed)])


def draw(seed: int) -> Spelling:
    """A spelling at random."""
    pick = random.Random(seed)
    rows = pick.choice([5, 6, 7, 8])
    columns = pick.choice([rows, rows, rows, 4, 9])
    heads = pick.choice([1, 2, 4])
    made = Spelling(
        *(pick.choice(options) for options in (SCORES, SOFTMAX, SCALES, MASKS, PRODUCTS)),
        *(pick.choice([1, 2, 3]), rows, columns, heads, pick.choice([1, heads]), pick.choice([2, 3, 4]), seed),
    )
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    narrow = made.dim * made.groups
    made.inputs = [normal(made.batch, rows, made.dim * heads)]
    made.inputs += [normal(made.batch, columns, narrow) for _ in range(2)]
    made.inputs += [torch.rand(made.batch, columns, generator=generator) > 0.4]  # padding; a whole batch element may be
    made.inputs += [torch.ones(64, 64).tril(), normal(1, heads, rows, columns), normal(heads).exp()]
    return made


def function(made: Spelling) -> Callable[..., Tensor]:
    """``(q, k, v, padding, triangle, bias, temperature) -> [batch, seq, heads * dim]``."""
    batch, rows, columns, heads, groups, dim = (
        getattr(made, name) for name in ("batch", "rows", "columns", "heads", "groups", "dim")
    )
    scale = 1 / math.sqrt(dim)

    def attend(
        q: Tensor, k: Tensor, v: Tensor, padding: Tensor, triangle: Tensor, bias: Tensor, heat: Tensor
    ) -> Tensor:
        q = q.view(batch, rows, heads, dim)
        k, v = (x.view(batch, columns, groups, dim) for x in (k, v))
        q = q * scale if made.scale == "before" else q
        if made.scale == "both":
            q, k = q * scale**0.5, k / dim**0.25
        s = _scores(q, k)
        s = _scaled(s, heat)
        s = _masked(s, padding, triangle, bias)
        p = _softmax(s).to(v.dtype)
        return _product(p, v)

    def _spread(x: Tensor) -> Tensor:
        """[batch, columns, groups, dim] -> [batch, heads, columns, dim]."""
        x = x.transpose(1, 2)
        if heads == groups:
            return x
        if made.seed % 2:
            return x.repeat_interleave(heads // groups, dim=1)
        return x[:, :, None].expand(batch, groups, heads // groups, columns, dim).reshape(batch, heads, columns, dim)

    def _scores(q: Tensor, k: Tensor) -> Tensor:
        if made.scores == "grouped":
            grouped = q.view(batch, rows, groups, heads // groups, dim)
            return torch.einsum("bsghd,btgd->bghst", grouped, k).reshape(batch, heads, rows, columns)
        k = _spread(k)
        if made.scores == "einsum_mixed":
            return torch.einsum("bshd,bhtd->bsht", q, k).transpose(1, 2)
        return _PLAIN_SCORES[made.scores](q.transpose(1, 2), k)

    def _scaled(s: Tensor, heat: Tensor) -> Tensor:
        if made.scale == "after":
            return s * scale
        if made.scale == "division":
            return s / math.sqrt(dim)
        if made.scale == "sqrt":
            return s / torch.sqrt(torch.tensor(dim, dtype=s.dtype))
        if made.scale == "tensor":
            return torch.mul(torch.full((1,), scale, dtype=s.dtype), s)
        if made.scale == "in_place":
            s /= math.sqrt(dim)
        if made.scale == "learned":
            return s * heat.view(-1, 1, 1)
        return s

    def _masked(s: Tensor, padding: Tensor, triangle: Tensor, bias: Tensor) -> Tensor:
        low = [-math.inf, -1e9, torch.finfo(torch.float32).min][made.seed % 3]
        for name in made.mask.split("+"):
            s = _MASKS[name](s, low, padding[:, None, None, :], triangle, bias)
        return s

    def _softmax(s: Tensor) -> Tensor:
        if made.softmax == "method":
            return s.softmax(dim=3)
        if made.softmax == "float32":
            return F.softmax(s, dim=-1, dtype=torch.float64)
        if made.softmax == "written":
            e = torch.exp(s - s.max(-1, keepdim=True).values)
            return e / e.sum(-1, keepdim=True)
        if made.softmax == "stable":
            e = (s - s.amax(dim=-1, keepdim=True).detach()).exp()
            return e / torch.sum(e, dim=-1, keepdim=True)
        if made.softmax == "log_softmax":
            return torch.exp(F.log_softmax(s, -1))
        return F.softmax(s, dim=-1)

    def _product(p: Tensor, v: Tensor) -> Tensor:
        v = _spread(v)
        if made.product == "einsum":
            return torch.einsum("bhst,bhtd->bshd", p, v).reshape(batch, rows, -1)
        if made.product == "bmm":
            out = torch.bmm(p.flatten(0, 1), v.reshape(-1, columns, dim))
            return out.view(batch, heads, rows, dim).permute(0, 2, 1, 3).contiguous().view(batch, rows, heads * dim)
        if made.product == "sequence_first":
            return torch.einsum("bhst,bthd->sbhd", p, v.transpose(1, 2)).flatten(2).transpose(0, 1)
        return (p @ v).transpose(1, 2).reshape(batch, rows, -1)

    return attend


def gradients(function: Callable[..., Any], inputs: list[Tensor]) -> list[Tensor]:
    """The result and the gradients of q, k, v and the last input."""
    leaves = [x.detach().clone().requires_grad_(i in (0, 1, 2, 6)) for i, x in enumerate(inputs)]
    out = function(*leaves)
    weights = torch.linspace(-1, 1, out.numel(), dtype=out.dtype).view_as(out)
    wanted = [leaf for leaf in leaves if leaf.requires_grad]
    found = torch.autograd.grad((out * weights).sum(), wanted, allow_unused=True)
    return [out.detach(), *(torch.zeros(()) if one is None else one for one in found)]
