"""What is known of a value's sign from what it is made of, whatever its inputs are (NaN aside)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import fx

from tessera.backend.stability.constants import constant
from tessera.backend.stability.spelling import Call, call_of

if TYPE_CHECKING:
    from tessera.backend.stability.algebra import Value

_NONNEGATIVE = {
    *("exp", "sigmoid", "softmax", "abs", "cosh", "norm", "erfc", "relu", "variance", "draw", "softplus", "truth"),
    "weighted_softmax",
    "sech_squared",
    "i0",
}
_SHOWS = ("squeeze", "move", "expand", "cast", "detach")
_LENGTHS = ("norm", "vector_norm", "linalg_norm")
_KEEPS_SIGN = {
    "sum",
    "mean",
    "prod",
    "amax",
    "amin",
    "cumsum",
    "cumprod",
    "squeeze",
    "move",
    "cast",
    "detach",
    "selected",
    "power",
}


def is_nonnegative(value: Value) -> bool:
    """Whether it is never below zero."""
    known = value.facts.get("nonnegative")
    if known is None:
        value.facts["nonnegative"] = False  # while it is looked at
        known = value.facts["nonnegative"] = _is_nonnegative(value)
    return known


def _is_nonnegative(value: Value) -> bool:
    op, args = value.op, value.args
    if op == "number":
        return args[0] >= 0
    if op in _KEEPS_SIGN:
        return is_nonnegative(args[0])
    if op == "where":
        return is_nonnegative(args[1]) and is_nonnegative(args[2])
    if op == "linear":
        return args[0] >= 0 and all(c >= 0 and is_nonnegative(term) for term, c in args[1])
    if op == "product":
        return all(e % 2 == 0 or e % 1 or is_nonnegative(base) for base, e in args[0])
    call = _call(value)
    return op in _NONNEGATIVE or (call is not None and call.name in _LENGTHS)


def is_positive(value: Value) -> bool:
    """Whether it is above zero on paper (in floating point it may have vanished)."""
    op, args = value.op, value.args
    if op == "number":
        return args[0] > 0
    if op in ("exp", "sigmoid", "softmax", "cosh", "erfc", "i0", "sech_squared"):
        return True
    if op in ("sum", "mean", "prod", "amax", "cumsum", "cumprod", "squeeze", "move", "cast", "detach"):
        return is_positive(args[0])
    if op == "linear":
        return is_nonnegative(value) and (args[0] > 0 or any(is_positive(term) for term, _ in args[1]))
    if op == "product":
        return all(is_positive(base) for base, _ in args[0])
    return False


def is_shifted(exponent: Value) -> bool:
    """Whether an exponent has its maximum subtracted, so that its exponential is at most 1."""
    return exponent.op == "linear" and any(_is_largest(term) and c < 0 for term, c in exponent.args[1])


def is_clamped_above(value: Value) -> bool:
    """Whether the user has clamped it from above already."""
    call = _call(value)
    if call is None:
        return False
    return call.name in ("clamp_max", "minimum") or (call.name == "clamp" and call.get(2, "max") is not None)


def upper_bound(value: Value) -> float:
    """The number that the user has clamped it to from above; infinity if there is none."""
    call = _call(value)
    if call is None or call.name not in ("clamp", "clamp_max"):
        return math.inf
    bound = call.get(2 if call.name == "clamp" else 1, "max")
    return float(bound) if isinstance(bound, int | float) else math.inf


def lower_bound(value: Value) -> float:
    """What it is never below, by a clamp of the user's or a number beside what is not negative; else minus infinity."""
    while value.op in _SHOWS:
        value = value.args[0]
    if value.op == "linear":
        return float(value.args[0]) if is_nonnegative(value) else -math.inf
    call = _call(value)
    if call is None or call.name not in ("clamp", "clamp_min"):
        return -math.inf
    bound = call.get(1, "min")
    return float(bound) if isinstance(bound, int | float) else -math.inf


def is_guarded(value: Value) -> bool:
    """Whether the user keeps it from 0, from infinity or from NaN, by a number of theirs."""
    while value.op in ("move", "squeeze", "expand", "cast", "abs", "detach"):
        value = value.args[0]
    call = _call(value)
    return call is not None and call.name in _GUARDS


_GUARDS = ("clamp", "clamp_min", "clamp_max", "maximum", "minimum", "nan_to_num", "where", "masked_fill")


def is_scaled(value: Value) -> bool:
    """Whether it is divided by a maximum, so that its squares neither overflow nor all vanish."""
    return value.op == "product" and any(_is_largest(base) and e < 0 for base, e in value.args[0])


def _is_largest(value: Value) -> bool:
    while value.op in _SHOWS:
        value = value.args[0]
    call = _call(value)
    if call is not None and call.name in ("maximum", "max", "fmax") and len(call.args) == 2:
        return True  # of two
    if call is not None and call.name in ("clamp", "clamp_min", "relu") and isinstance(call.args[0], fx.Node):
        return _is_maximum(call.args[0])
    return value.op in ("amax", "peak") or (value.op == "where" and any(_is_largest(v) for v in value.parts()))


def _is_maximum(node: fx.Node) -> bool:
    """Whether it is the largest along dimensions: ``x.amax(-1)``, ``x.max(-1).values``."""
    call = call_of(node)
    if call is not None and call.name in ("getitem", "getattr", "detach") and isinstance(call.args[0], fx.Node):
        return _is_maximum(call.args[0])
    return call is not None and call.name in ("amax", "max")


def is_centred(value: Value) -> bool:
    """Whether one of its own elements, or their mean, has been subtracted from it."""
    if value.op != "linear" or value.args[0] != 0 or sorted(c for _, c in value.args[1]) != [-1.0, 1.0]:
        return False
    (x,), (level,) = ([term for term, c in value.args[1] if c == sign] for sign in (1.0, -1.0))
    while level.op in _SHOWS:
        level = level.args[0]
        if level is x:
            return True
    return level.op == "mean" and level.args[0] is x


def leaves_the_first(condition: Value) -> bool:
    """Whether a mask is an upper triangle, as causal attention has, or is known: no row is all of it."""
    call = _call(condition)
    if call is not None and call.name == "triu":
        diagonal = call.get(1, "diagonal", 0)
        return isinstance(diagonal, int) and diagonal >= 1
    mask = constant(condition.args[0]) if condition.op == "leaf" else None
    return mask is not None and mask.dtype is torch.bool and mask.dim() > 0 and not bool(mask.all(-1).any())


def _call(value: Value) -> Call | None:
    """What computes a value that no rule knows more of."""
    node = value.args[0] if value.op == "leaf" else None
    return call_of(node) if isinstance(node, fx.Node) else None
