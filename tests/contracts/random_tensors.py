"""Random functions of tensors of random sizes, compiled and not: shapes, strides, dtypes, values, what was written.

Sizes are mostly one and two, where broadcasting and memory that is used again go wrong first; everything is float64, so
that what rounding does is far below what a mistake does.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F

import tessera

SIZES = (1, 1, 2, 3, 4, 7)

ELEMENTWISE: list[Callable[..., Any]] = [
    torch.sin,
    torch.tanh,
    torch.sigmoid,
    torch.relu,
    torch.square,
    lambda x: torch.exp(-x.abs()),
    lambda x: x * 2 - 1,
    lambda x: x.clamp(-1, 1),
    lambda x: torch.where(x > 0, x, x / 3),
    lambda x: (x > 0).to(x.dtype),
    lambda x: x.round().long().to(x.dtype),
    lambda x: x.masked_fill(x > 1, 0.5),
    lambda x: x / (1 + x.abs()),
    F.gelu,
    F.softplus,
]
RESHAPING: list[Callable[..., Any]] = [
    lambda x, d: x.transpose(d, -1),
    lambda x, d: x.flip(d),
    lambda x, d: x.unsqueeze(d),
    lambda x, d: x.reshape(-1),
    lambda x, d: x.reshape(1, -1),
    lambda x, d: x.reshape(-1, 1),
    lambda x, d: x.roll(1, d),
    lambda x, d: x.narrow(d, 0, max(1, x.shape[d] // 2)),
    lambda x, d: torch.cat([x, x * 2], d),
    lambda x, d: torch.stack([x, -x], d),
    lambda x, d: x.repeat_interleave(2, d),
    lambda x, d: x.index_select(d, torch.tensor([0, x.shape[d] - 1])),
    lambda x, d: x.movedim(d, 0).contiguous(),
    lambda x, d: x.squeeze(d),
    lambda x, d: x.unfold(d, 1, 1),
    lambda x, d: F.pad(x, (1, 0)),
    lambda x, d: x.chunk(2, d)[0],
    lambda x, d: x.diagonal() if x.dim() > 1 else x,
    lambda x, d: x.tril() if x.dim() > 1 else x,
    lambda x, d: x.expand(2, *x.shape),
]
ALONG: list[Callable[..., Any]] = [
    lambda x, d: x.sum(d),
    lambda x, d: x.sum(d, keepdim=True),
    lambda x, d: x.mean(d),
    lambda x, d: x.amax(d, keepdim=True),
    lambda x, d: x.max(d).values,
    lambda x, d: x.logsumexp(d),
    lambda x, d: x.softmax(d),
    lambda x, d: x.log_softmax(d),
    lambda x, d: x.cumsum(d),
    lambda x, d: x.var(d, correction=0),
    lambda x, d: x.norm(dim=d),
    lambda x, d: x - x.mean(d, keepdim=True),
    lambda x, d: x.sort(d).values,
    lambda x, d: x.argmax(d).to(x.dtype),
    lambda x, d: F.normalize(x, dim=d),
    lambda x, d: F.layer_norm(x, x.shape[-1:]),
    lambda x, d: x.prod(d),
    lambda x, d: x.any(d).to(x.dtype),
]
WHOLE: list[Callable[..., Any]] = [
    torch.sum,
    torch.mean,
    torch.amax,
    torch.linalg.vector_norm,
    lambda x: x.var(correction=0),
]
PAIRS: list[Callable[..., Any]] = [
    torch.add,
    torch.mul,
    torch.sub,
    torch.maximum,
    lambda a, b: a / (1 + b.square()),
    lambda a, b: torch.where(a > b, a, b),
    lambda a, b: a.lerp(b, 0.25),
    torch.logaddexp,
]
WRITES: list[Callable[..., Any]] = [
    lambda x, d: x.add_(1),
    lambda x, d: x.mul_(0.5),
    lambda x, d: x.select(d, 0).fill_(2.0),
    lambda x, d: x.narrow(d, 0, 1).copy_(x.narrow(d, x.shape[d] - 1, 1) * 2),
    lambda x, d: x.index_add_(d, torch.tensor([0]), x.narrow(d, 0, 1).clone()),
    lambda x, d: x.index_fill_(d, torch.tensor([0]), 3.0),
    lambda x, d: x.transpose(d, -1).sub_(0.25),
]
KINDS = ["elementwise"] * 3 + ["reshaping"] * 3 + ["along"] * 3 + ["pair"] * 2 + ["product", "whole", "write"]


class RandomFunction:
    """A composition of operations on two tensors; the same ``seed`` makes the same function.

    It is chosen while it is first called, by what each value allows, and written down: later calls and captures only
    follow what is written.
    """

    def __init__(self, seed: int, length: int, writes: bool) -> None:
        self._draw, self._writes = random.Random(seed), writes
        self._inputs = self._make_inputs(seed)
        self._steps: list[tuple[Callable[..., torch.Tensor], tuple[int, ...]]] = []
        values = self.inputs()
        for _ in range(length):
            function, operands = self._step(values)
            self._steps.append((function, operands))
            values.append(function(*(values[at] for at in operands)))
        self._returned = sorted({len(values) - 1, *(self._draw.randrange(2, len(values)) for _ in range(2))})

    def inputs(self) -> list[torch.Tensor]:
        """Fresh copies of what it is called with, strides and all."""
        return [torch.empty_like(x).copy_(x) for x in self._inputs]

    def __call__(self, a: torch.Tensor, b: torch.Tensor) -> list[torch.Tensor]:
        values = [a, b]
        for function, operands in self._steps:
            values.append(function(*[values[at] for at in operands]))
        return [values[at] for at in self._returned]

    def _make_inputs(self, seed: int) -> list[torch.Tensor]:
        draw, generator = self._draw, torch.Generator().manual_seed(seed)
        shape = [draw.choice(SIZES) for _ in range(draw.choice((0, 1, 2, 2, 2, 3, 3)))]
        made = []
        for _ in range(2):
            sizes = [1 if draw.random() < 0.2 else size for size in shape]
            x = torch.randn(sizes, generator=generator, dtype=torch.float64)
            made.append(x.mT.contiguous().mT if x.dim() > 1 and draw.random() < 0.3 else x)
        return made

    def _step(self, values: list[torch.Tensor]) -> tuple[Callable[..., torch.Tensor], tuple[int, ...]]:
        draw = self._draw
        kind, first = draw.choice(KINDS), len(values) - 1 if draw.random() < 0.7 else draw.randrange(len(values))
        second, x = draw.randrange(len(values)), values[first]
        other, dim = values[second], draw.randrange(x.dim()) if x.dim() else 0
        function = draw.choice(ELEMENTWISE)
        if kind == "write" and self._writes and x.dim() and x.is_contiguous():
            function = _written(draw.choice(WRITES), dim, copy=draw.random() < 0.5)
        elif kind == "product" and x.dim() == 2:
            if other.dim() == 2 and other.shape[0] == x.shape[1]:
                return torch.matmul, (first, second)
            function = _gram
        elif kind == "pair" and _broadcast(x, other):
            return draw.choice(PAIRS), (first, second)
        elif kind == "whole":
            function = draw.choice(WHOLE)
        elif kind == "reshaping" and 0 < x.dim() < 5 and x.numel() < 4000:
            function = _along(draw.choice(RESHAPING), dim)
        elif kind == "along" and x.dim():
            function = _along(draw.choice(ALONG), dim)
        return function, (first,)


def _gram(x: torch.Tensor) -> torch.Tensor:
    return x @ x.mT


def _along(function: Callable[..., torch.Tensor], dim: int) -> Callable[[torch.Tensor], torch.Tensor]:
    return lambda x: function(x, dim)


def _written(write: Callable[..., Any], dim: int, copy: bool) -> Callable[[torch.Tensor], torch.Tensor]:
    def apply(x: torch.Tensor) -> torch.Tensor:
        y = x.clone() if copy else x
        write(y, dim)
        return y

    return apply


def _broadcast(a: torch.Tensor, b: torch.Tensor) -> bool:
    try:
        return len(torch.broadcast_shapes(a.shape, b.shape)) <= 4
    except RuntimeError:
        return False


def differences(function: RandomFunction, gradients: bool, **options: Any) -> list[str]:
    """What differs between ``function`` and ``tessera.compile(function)``, called twice each; [] where nothing does."""
    compiled = tessera.compile(function.__call__, **options)
    found: list[str] = []
    for call in range(2):
        plain, ours = function.inputs(), function.inputs()
        if gradients:
            plain, ours = ([x.requires_grad_() for x in some] for some in (plain, ours))
        expected, actual = function(*plain), compiled(*ours)
        if gradients:
            for results in (expected, actual):
                differentiable = [x.sum() for x in results if x.requires_grad]
                if differentiable:
                    torch.stack(differentiable).sum().backward()
            found += _compare(f"call {call}: gradient", [x.grad for x in plain], [x.grad for x in ours])
        found += _compare(f"call {call}: input", plain, ours)
        found += _compare(f"call {call}: output", expected, actual)
    return found


def _compare(name: str, expected: list[Any], actual: list[Any]) -> list[str]:
    found = []
    for index, (a, b) in enumerate(zip(expected, actual, strict=True)):
        if a is None or b is None:
            if a is not b:
                found.append(f"{name} {index}: {a} and {b}")
            continue
        told = (tuple(a.shape), a.dtype, a.requires_grad), (tuple(b.shape), b.dtype, b.requires_grad)
        if told[0] != told[1]:
            found.append(f"{name} {index}: {told[0]} became {told[1]}")
        elif not torch.allclose(a, b, 1e-9, 1e-9, equal_nan=True):
            found.append(f"{name} {index}: off by {(a - b).abs().max()}")
    return found
