"""Functions of two values, and what is known where both come from the same."""

from __future__ import annotations

import math
from typing import Any

from torch import fx

from tessera.backend.ranges.question import Question, Rule
from tessera.backend.ranges.rows import NO_FACTS, Fact, Rows
from tessera.backend.ranges.rules.relations import difference, share
from tessera.backend.ranges.value_range import INF, TOP, Hull, Range, corners, number, product, quotient


def _ends(a: Range, b: Range) -> tuple[Hull, Hull] | None:
    """What both are known to reach at once: either at its ends, whatever the other is."""
    if a.reached is None or b.reached is None:
        return None
    if a.exact is not None or b.exact is not None or a.independent(b):
        return a.reached, b.reached
    return None


def summed(a: Range, b: Range) -> Range:
    """A + b."""
    reached = None
    if ends := _ends(a, b):
        reached = (ends[0][0] + ends[1][0], ends[0][1] + ends[1][1])
        if any(map(math.isnan, reached)):
            reached = None
    low, high = a.low + b.low, a.high + b.high
    rows = a.rows if b.exact is not None else b.rows if a.exact is not None else NO_FACTS
    if rows.peak is not None:
        moved = b.exact if rows is a.rows else a.exact
        rows = Rows(peak=Fact(rows.peak.dims, rows.peak.value + (moved or 0.0)))
    else:
        rows = NO_FACTS
    return Range(
        -INF if math.isnan(low) else low,
        INF if math.isnan(high) else high,
        reached,
        max(a.size, b.size),
        integer=a.integer and b.integer,
        rows=rows,
    )


def negated(x: Range) -> Range:
    """-x."""
    reached = None if x.reached is None else (-x.reached[1], -x.reached[0])
    return Range(-x.high, -x.low, reached, x.size, x.data, x.parameter, x.sources, x.integer)


def scaled(x: Range, factor: float) -> Range:
    """X times a number."""
    if factor == 0:
        return number(0.0)
    low, high = sorted((product(x.low, factor), product(x.high, factor)))
    reached = None
    if x.reached is not None:
        first, last = sorted((product(x.reached[0], factor), product(x.reached[1], factor)))
        reached = (first, last)
    rows = x.rows.scaled(abs(factor))
    if factor < 0:
        rows = Rows(length=rows.length) if rows.length else NO_FACTS
    return Range(
        low, high, reached, product(x.size, abs(factor)), integer=x.integer and factor == int(factor), rows=rows
    )


def multiplied(a: Range, b: Range) -> Range:
    """A * b of different tensors."""
    if b.exact is not None and math.isfinite(b.exact):
        return scaled(a, b.exact)
    if a.exact is not None and math.isfinite(a.exact):
        return scaled(b, a.exact)
    low, high = corners(product, (a.low, a.high), (b.low, b.high))
    reached = None
    if ends := _ends(a, b):
        reached = corners(product, *ends)
    elif (a.reaches_zero and not a.signed) or (b.reaches_zero and not b.signed):
        reached = (0.0, 0.0)
    rows = NO_FACTS
    for x, other in ((a, b), (b, a)):
        if other.within(-1, 1) and x.rows.length:
            rows = Rows(length=x.rows.length)
        elif other.within(0, 1):
            rows = x.rows.bounds()
    size = product(a.size, b.size)
    if _is_kept(a) and _is_kept(b) and not (a.bounded and b.bounded):
        size = min(size, 1.0)  # codes and their scale, a gain and its weight: no larger than other weights
    return Range(low, high, reached, size, integer=a.integer and b.integer, rows=rows)


def _is_kept(x: Range) -> bool:
    """Whether it is made of parameters and buffers alone."""
    return not x.data and not x.constant


def divided(a: Range, b: Range) -> Range:
    """A / b."""
    if b.exact is not None and math.isfinite(b.exact) and b.exact != 0:
        return scaled(a, 1 / b.exact) if math.isfinite(1 / b.exact) else TOP
    if b.low <= 0 <= b.high:
        positive = a.low >= 0 and b.low >= 0
        return Range(0.0 if positive else -INF, INF, None, min(a.size, 1.0))
    low, high = corners(quotient, (a.low, a.high), (b.low, b.high))
    reached = None
    if ends := _ends(a, b):
        reached = corners(quotient, *ends)
    elif a.reached == (0.0, 0.0):
        reached = (0.0, 0.0)
    return Range(low, high, reached, a.size / max(min(abs(b.low), abs(b.high)), b.size, 1e-300))


def _add(q: Question) -> Range:
    alpha = q.argument(2, "alpha", 1)
    right = q.y if alpha == 1 or not isinstance(alpha, (int, float)) else scaled(q.y, float(alpha))
    return summed(q.x, right)


def _subtract(q: Question) -> Range:
    alpha = q.argument(2, "alpha", 1)
    a, b = q.argument(0), q.argument(1)
    if alpha == 1 and isinstance(a, fx.Node) and isinstance(b, fx.Node):
        related = difference(q, a, b)
        if related is not None:
            return related
    right = q.y if alpha == 1 or not isinstance(alpha, (int, float)) else scaled(q.y, float(alpha))
    return summed(q.x, negated(right))


def _reversed(q: Question) -> Range:
    return summed(q.y, negated(q.x))


def _divide(q: Question) -> Range:
    a, b = q.argument(0), q.argument(1)
    if q.argument(2, "rounding_mode") is not None:
        found = divided(q.x, q.y)
        return found.changed(low=found.low - 1, integer=True).plain()
    if isinstance(a, fx.Node) and isinstance(b, fx.Node):
        if q.same(a, b):
            return number(1.0)
        part = share(q, a, b)
        if part is not None:
            return part
    return divided(q.x, q.y)


def larger(a: Range, b: Range) -> Range:
    """The larger of two, value by value."""
    reached = None
    if ends := _ends(a, b):
        reached = (max(ends[0][0], ends[1][0]), max(ends[0][1], ends[1][1]))
    elif b.exact is not None or a.exact is not None:
        bound, other = (b, a) if b.exact is not None else (a, b)
        if math.isfinite(bound.low) and other.low < bound.low:
            reached = (bound.low, max(bound.low, min(other.size, other.high)))
    return Range(max(a.low, b.low), max(a.high, b.high), reached, max(a.size, b.size), integer=a.integer and b.integer)


def smaller(a: Range, b: Range) -> Range:
    """The smaller of two, value by value."""
    return negated(larger(negated(a), negated(b)))


def _clamp(q: Question) -> Range:
    return clamped(q.x, q.argument(1, "min"), q.argument(2, "max"), q)


def clamped(x: Range, least: Any, most: Any, q: Question) -> Range:
    """The values, cut off at two numbers or tensors of which each may be missing."""
    found = x
    squashed = least is not None and most is not None and x.reached is None
    if least is not None:
        found = larger(found, q.range_of(least))
    if most is not None:
        found = smaller(found, q.range_of(most))
    if squashed and found.bounded:
        found = found.changed(reached=(found.low, found.high))
    return found.changed(rows=x.rows.bounds())


def _remainder(q: Question) -> Range:
    y = q.y
    if y.exact is not None and y.exact > 0:
        return Range(0.0, y.exact, (0.0, y.exact), min(q.x.size, y.exact))
    return TOP


def _lerp(q: Question) -> Range:
    a, b, weight = q.x, q.y, q.range(2)
    if weight.within(0, 1):
        return Range(min(a.low, b.low), max(a.high, b.high), None, max(a.size, b.size))
    return TOP


RULES: dict[str, Rule] = {
    "add": _add,
    "sub": _subtract,
    "rsub": _reversed,
    "div": _divide,
    "true_divide": _divide,
    "maximum": lambda q: larger(q.x, q.y),
    "minimum": lambda q: smaller(q.x, q.y),
    "fmax": lambda q: larger(q.x, q.y),
    "fmin": lambda q: smaller(q.x, q.y),
    "clamp": _clamp,
    "clamp_min": lambda q: clamped(q.x, q.argument(1), None, q),
    "clamp_max": lambda q: clamped(q.x, None, q.argument(1), q),
    "hardtanh": lambda q: clamped(q.x, q.argument(1, "min_val", -1.0), q.argument(2, "max_val", 1.0), q),
    "remainder": _remainder,
    "lerp": _lerp,
    "addcmul": lambda q: summed(q.x, scaled(multiplied(q.y, q.range(2)), float(q.argument(3, "value", 1)))),
    "addcdiv": lambda q: summed(q.x, scaled(divided(q.y, q.range(2)), float(q.argument(3, "value", 1)))),
    "atan2": lambda _: Range(-math.pi, math.pi, (-math.pi, math.pi), 3.0),
    "logaddexp": lambda q: Range(max(q.x.low, q.y.low), INF, None, max(q.x.size, q.y.size)),
    "xlogy": lambda _: TOP,
}
