"""Random programs, and a look at whether every value that they compute is one that was foreseen."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import fx

from tessera.backend.ranges.formats import format_of
from tessera.backend.ranges.interpret import interpret
from tessera.backend.ranges.trace import trace_forward
from tessera.backend.ranges.value_range import Range

UNARY: list[Callable[..., Any]] = [
    torch.exp,
    torch.log,
    torch.log1p,
    torch.sqrt,
    torch.rsqrt,
    torch.abs,
    torch.neg,
    torch.square,
    torch.tanh,
    torch.sigmoid,
    torch.relu,
    torch.sin,
    torch.cos,
    torch.erf,
    torch.atan,
    torch.floor,
    torch.ceil,
    torch.round,
    torch.reciprocal,
    torch.expm1,
    torch.cosh,
    torch.sinh,
    torch.asinh,
    torch.exp2,
    torch.log2,
    torch.sign,
    torch.trunc,
    F.softplus,
    F.logsigmoid,
    F.elu,
    F.selu,
    F.gelu,
    F.silu,
    F.mish,
    F.hardswish,
    F.hardsigmoid,
    F.leaky_relu,
    F.relu6,
    lambda x: x**2,
    lambda x: x**3,
    lambda x: x**0.5,
    lambda x: x**-1,
    lambda x: x**-2,
    lambda x: 2.0**x,
    lambda x: x.clamp(-0.5, 2),
    lambda x: x.clamp(min=0.1),
    lambda x: 1 - x,
    lambda x: x + 3,
    lambda x: 3 * x,
    lambda x: x / 7,
    lambda x: -2 * x,
    lambda x: x * x,
    lambda x: x.half().float(),
    lambda x: x.bfloat16().float(),
    lambda x: x.int().float(),
    lambda x: torch.where(x > 0.5, x, 0.5),
    lambda x: x.masked_fill(x < 0, 2.0),
    lambda x: x % 3,
    lambda x: torch.nan_to_num(x, 0.0, 1.0, -1.0),
    lambda x: (x > 0).float(),
    torch.tril,
]
ALONG: list[Callable[..., Any]] = [
    lambda x: x.softmax(-1),
    lambda x: x.log_softmax(0),
    lambda x: x - x.amax(1, keepdim=True),
    lambda x: x - x.mean(0),
    lambda x: x.cumsum(1),
    lambda x: x.cumprod(1),
    lambda x: F.normalize(x, dim=-1),
    lambda x: x / (x.norm() + 1e-3),
    lambda x: x / x.abs().sum(1, keepdim=True).clamp(min=1e-6),
    lambda x: x.sum(1, keepdim=True),
    lambda x: x.mean(0),
    lambda x: x.amax(0),
    lambda x: x.min(1, keepdim=True).values,
    lambda x: x.var(1, keepdim=True),
    lambda x: x.std(),
    lambda x: x.norm(dim=1, keepdim=True),
    lambda x: x.norm(1),
    lambda x: x.prod(1, keepdim=True),
    lambda x: x.t().clone().t(),
    lambda x: x.logsumexp(1, keepdim=True),
    lambda x: x - x.min(),
    lambda x: x.max() - x,
    lambda x: x.flip(0),
    lambda x: x.topk(6, dim=1, sorted=False).values,
    lambda x: x[:, :6],
    lambda x: F.layer_norm(x, (6,)),
    lambda x: x[:, torch.tensor([0, 1, 2, 3, 4, 4])],
    lambda x: F.dropout(x, 0.5),
    lambda x: x.view(2, 3, 6).reshape(6, 6),
    lambda x: x.sort(0).values,
    lambda x: F.pad(x, (1, 0))[:, :6],
    lambda x: F.normalize(x, dim=1) @ F.normalize(x, dim=1).T,
]
BINARY: list[Callable[..., Any]] = [
    torch.add,
    torch.sub,
    torch.mul,
    torch.div,
    torch.maximum,
    torch.minimum,
    torch.matmul,
    torch.atan2,
    lambda a, b: torch.where(a > b, a, b),
    lambda a, b: torch.where(b > 0, a / b, a),
    lambda a, b: a.lerp(b, 0.3),
    torch.logaddexp,
    lambda a, b: torch.cat([a, b], 1)[:, 2:8],
    lambda a, b: a.softmax(-1) @ b,
    lambda a, b: torch.addcmul(a, a, b, value=0.5),
    lambda a, b: torch.addmm(a, a, b),
    lambda a, b: a - b.exp(),
    lambda a, b: (a - b) ** 2,
    lambda a, b: F.mse_loss(a, b).expand(6, 6),
    lambda a, b: torch.stack([a, b]).mean(0),
]
RANGES = [(0.0, 1.0), (-1.0, 1.0), (0.5, 2.0), (-3.0, -0.25), (-20.0, 30.0), (0.0, 255.0), (1e-6, 1e-3), (2.0, 2.0)]


def random_program(draw: random.Random, length: int) -> Callable[[torch.Tensor, torch.Tensor], torch.Tensor]:
    """A composition of operations on two 6 x 6 tensors."""
    steps = [
        (draw.choice((UNARY, UNARY, ALONG, BINARY)), draw.random(), draw.random(), draw.random()) for _ in range(length)
    ]

    def program(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        values = [a, b]
        for kind, which, first, second in steps:
            operation = kind[int(which * len(kind))]
            x = values[-1] if first < 0.6 else values[int(first * len(values))]
            y = values[int(second * len(values))]
            made = operation(x, y) if kind is BINARY else operation(x)
            values.append(made.expand(6, 6))
        return values[-1]

    return program


def unforeseen(program: Callable[..., Any], ranges: list[tuple[float, float]], seed: int, runs: int = 4) -> list[str]:
    """The nodes whose values, on random inputs within ``ranges``, lie outside of what is known of them."""
    generator = torch.Generator().manual_seed(seed)

    def sample(low: float, high: float) -> torch.Tensor:
        x = torch.rand(6, 6, generator=generator) * (high - low) + low
        x[torch.rand(6, 6, generator=generator) < 0.2] = low
        x[torch.rand(6, 6, generator=generator) < 0.2] = high
        return x.clamp(low, high)

    example = [sample(*one) for one in ranges]
    traced = trace_forward(program, tuple(example), {}, dict(enumerate(ranges)))
    found = interpret(traced.graph, traced.given, traced.attribute)
    wrong: list[str] = []
    of_nan: set[fx.Node] = set()  # NaN is told of where it is born; an integer that is made of it is anything

    class Watch(fx.Interpreter):
        def run_node(self, node: fx.Node) -> Any:
            value = super().run_node(node)
            known = found.known.get(node)
            if any(n in of_nan or _has_nan(self.env[n]) for n in node.all_input_nodes):
                of_nan.add(node)
            elif isinstance(value, torch.Tensor) and isinstance(known, Range) and not _holds(value, known):
                wrong.append(f"{node.format_node()} {known.low}..{known.high} {value.min()}..{value.max()}")
            return value

    for _ in range(runs):
        of_nan.clear()
        Watch(traced.root).run(*(sample(*one) for one in ranges))
    return wrong


def _has_nan(value: Any) -> bool:
    return isinstance(value, torch.Tensor) and bool(value.isnan().any())


def _holds(value: torch.Tensor, known: Range) -> bool:
    form = format_of(value.dtype)
    plain = value.double()
    plain = plain[plain.isfinite()]
    if not plain.numel():
        return True
    scale = max([abs(end) for end in (known.low, known.high) if math.isfinite(end)], default=1.0)
    scale = max(scale, 0.01)  # of a difference of equal values only rounding is left
    slack = 64 * (form.epsilon * scale + form.smallest) if form else 0.0
    return bool((plain >= known.low - slack).all() and (plain <= known.high + slack).all())
