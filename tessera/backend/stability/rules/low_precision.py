"""Sums of float16 and bfloat16: what is summed is computed in float32 too, and rounded once, at the end.

    (x * y).sum()        (x.float() * y.float()).sum().half()

torch adds up in float32 anyway; but x * y has been rounded before that, and in float16 it may be infinite.
"""

from __future__ import annotations

import torch
from torch import Tensor

from tessera.backend.stability.algebra import Algebra, Value
from tessera.backend.stability.rule import Rule
from tessera.backend.stability.spelling import example

DEEPEST = 4
_WRITTEN = {
    *("norm", "root_mean_square", "normalise", "normalise_by_mean", "cosine", "hypot"),
    *("variance", "covariance", "squared_deviations"),
}
_LOW = (torch.float16, torch.bfloat16)
_ON_EACH = ("exp", "abs", "sigmoid", "tanh", "relu")


def _in_float32(algebra: Algebra, value: Value, depth: int = 0) -> Value | None:
    """``value`` computed in float32; None where it is made of something else than low precision."""
    if value.op == "number":
        return value
    if value.op == "leaf":
        tensor = example(value.node)
        low = isinstance(tensor, Tensor) and tensor.dtype in _LOW
        return algebra.make("cast", value, torch.float32) if low else None
    if depth > DEEPEST or value.op not in ("product", "linear", "mean", *_ON_EACH):
        return None
    raised = {part: _in_float32(algebra, part, depth + 1) for part in value.parts()}
    if not all(raised.values()):
        return None
    found = algebra.make(value.op, *raised.values()) if value.op in _ON_EACH else None
    if value.op == "mean":
        found = algebra.make("mean", *raised.values(), value.args[1])
    if value.op == "linear":
        found = algebra.add(
            (1.0, algebra.number(value.args[0])),
            *((c, raised[term]) for term, c in value.args[1]),  # type: ignore[arg-type]
        )
    elif value.op == "product":
        found = algebra.multiply(*((raised[base], e) for base, e in value.args[0]))  # type: ignore[arg-type]
    return found


def widened(algebra: Algebra, value: Value) -> Value | None:
    """A stable form that reduces, of what it is made of in float32; None where that is not in low precision."""
    if value.op not in _WRITTEN:
        return None
    raised = [_in_float32(algebra, arg) if isinstance(arg, Value) else arg for arg in value.args]
    return None if None in raised else algebra.make(value.op, *raised)


def _sum(algebra: Algebra, value: Value) -> Value | None:
    summed, dims = value.args
    if summed.op not in ("product", "linear", *_ON_EACH):
        return None
    raised = _in_float32(algebra, summed)
    return None if raised is None else algebra.make(value.op, raised, dims)


LOW_PRECISION = tuple(
    Rule(
        f"{op} in low precision -> in float32",
        op,
        _sum,
        "what is summed is computed of float16 or bfloat16 alone",
        "the same numbers, rounded once instead of at every operation",
        "squares above 65504 or below 6e-8 in float16",
    )
    for op in ("sum", "mean")
)
