"""Comparisons, and values that are chosen by them: where, masked_fill."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import fx

from tessera.backend.ranges.identity import operation
from tessera.backend.ranges.question import Question, Rule, dtype_of
from tessera.backend.ranges.value_range import INF, TOP, Range, number, union

_TINY = 1e-45


def _compared(_: Question) -> Range:
    return Range(0.0, 1.0, (0.0, 1.0), 1.0, integer=True)


def refined(q: Question, branch: Any, condition: Any, holds: bool) -> Range:
    """What is known of ``branch`` where ``condition`` holds (or does not)."""
    x = q.range_of(branch)
    if not isinstance(condition, fx.Node):
        return x
    name = operation(condition)
    if name in ("logical_not", "bitwise_not"):
        return refined(q, branch, condition.args[0], not holds)
    if name in ("logical_and", "bitwise_and") and holds:
        for one in condition.args:
            x = _meet(x, refined(q, branch, one, holds=True))
        return x
    if name in _COMPARED and len(condition.args) == 2:
        left, right = condition.args
        bound = q.range_of(right).exact
        if bound is not None and isinstance(left, fx.Node) and q.same(left, branch):
            return _cut(x, name if holds else _OPPOSITE[name], bound)
    return x


def _meet(a: Range, b: Range) -> Range:
    low, high = max(a.low, b.low), min(a.high, b.high)
    return a.changed(low=low, high=high, reached=_inside(a.reached, low, high))


def _inside(reached: tuple[float, float] | None, low: float, high: float) -> tuple[float, float] | None:
    if reached is None or reached[1] < low or reached[0] > high:
        return None
    return max(reached[0], low), min(reached[1], high)


def _cut(x: Range, comparison: str, bound: float) -> Range:
    step = 1.0 if x.integer else max(abs(bound) * 1e-12, _TINY)
    low, high = x.low, x.high
    if comparison in ("gt", "ge"):
        low = max(low, bound + step if comparison == "gt" else bound)
    elif comparison in ("lt", "le"):
        high = min(high, bound - step if comparison == "lt" else bound)
    elif comparison == "eq":
        low, high = max(low, bound), min(high, bound)
    elif comparison == "ne" and low == bound:
        low = bound + step
    elif comparison == "ne" and high == bound:
        high = bound - step
    reached = _inside(x.reached, low, high)
    if comparison == "ne" and reached is not None and reached[0] < bound < reached[1]:
        reached = None
    return x.changed(low=low, high=high, reached=reached).plain()


_COMPARED = {"gt", "ge", "lt", "le", "eq", "ne"}
_OPPOSITE = {"gt": "le", "ge": "lt", "lt": "ge", "le": "gt", "eq": "ne", "ne": "eq"}


def _where(q: Question) -> Range:
    condition, first, second = (q.argument(i) for i in range(3))
    chosen = refined(q, first, condition, holds=True), refined(q, second, condition, holds=False)
    return _finite(chosen)


def _finite(parts: tuple[Range, ...]) -> Range:
    """Of several values. An infinite constant is there to be chosen, not reached by computing."""
    kept = [part for part in parts if part.exact is None or math.isfinite(part.exact)]
    found = union(kept or parts)
    below = any(part.exact == -INF for part in parts)
    return found.changed(low=-INF, reached=None) if below else found


def _filled(q: Question) -> Range:
    x, mask, value = q.argument(0), q.argument(1), q.range(2)
    kept = refined(q, x, mask, holds=False)
    found = _finite((kept, value))
    if value.exact is not None and not math.isfinite(value.exact):
        return found.changed(rows=kept.rows)
    return found


def _replaced_nan(q: Question) -> Range:
    x, given = q.x, (q.argument(1, "nan", 0.0), q.argument(2, "posinf"), q.argument(3, "neginf"))
    put = [float(one) for one in given if isinstance(one, (int, float))]
    return Range(min([x.low, *put]), max([x.high, *put]), x.reached, x.size)


def _bits(q: Question) -> Range:
    """Of truth values."""
    return _compared(q) if dtype_of(q.node) is torch.bool else TOP


RULES: dict[str, Rule] = {
    **dict.fromkeys(("bitwise_and", "bitwise_or", "bitwise_xor", "bitwise_not"), _bits),
    **dict.fromkeys(("gt", "ge", "lt", "le", "eq", "ne", "isnan", "isinf", "isfinite", "logical_not"), _compared),
    **dict.fromkeys(("logical_and", "logical_or", "logical_xor", "isposinf", "isneginf", "isin"), _compared),
    **dict.fromkeys(
        ("argmax", "argmin", "argsort", "bucketize", "searchsorted", "nonzero"), lambda _: Range(0.0, INF, integer=True)
    ),
    "where": _where,
    "masked_fill": _filled,
    "nan_to_num": _replaced_nan,
    "sign": lambda q: number(1.0) if q.x.low > 0 else Range(-1.0, 1.0, (-1.0, 1.0), 1.0, integer=True),
}
