"""Powers and exponentials."""

from __future__ import annotations

import math
from collections.abc import Callable

from tessera.backend.ranges.question import Question, Rule
from tessera.backend.ranges.rows import NO_FACTS, Fact, Rows
from tessera.backend.ranges.rules.arithmetic import divided, multiplied
from tessera.backend.ranges.rules.upward import upward
from tessera.backend.ranges.value_range import INF, Hull, Range, hull, number, power


def safe(function: Callable[[float], float], value: float) -> float:
    """What a function of ``math`` returns, infinite where it overflows and NaN outside of its domain."""
    try:
        return function(value)
    except OverflowError:
        return INF
    except ValueError:
        return math.nan


def exp(value: float) -> float:
    """The number e to the power of a number, infinite ones among them."""
    return math.exp(value) if value < 709 else INF


def exponential(x: Range, base: float = math.e) -> Range:
    """``base`` to the power of the values: of unbounded ones nothing is known to be reached."""
    rate = math.log(base)
    low, high = sorted((exp(rate * x.low), exp(rate * x.high)))
    reached = None if x.reached is None else hull(exp(rate * end) for end in x.reached)
    size = 1.0
    if reached is None and x.size > 1 and not x.within(-INF, 0):
        size = exp(abs(rate) * x.size)
    elif reached is not None:
        size = reached[1]
    rows = NO_FACTS
    if x.rows.peak is not None and rate > 0:
        rows = Rows(peak=Fact(x.rows.peak.dims, exp(rate * x.rows.peak.value)))
    return Range(low, high, reached, size, rows=rows)


def folded(x: Range, function: Callable[[float], float]) -> Hull | None:
    """What is reached of an even function that is least at zero."""
    if x.reached is not None and not (x.signed and x.parameter):
        least = 0.0 if x.reached[0] <= 0 <= x.reached[1] else min(map(abs, x.reached))
        return function(least), function(max(map(abs, x.reached)))
    # A tensor of data may hold zeros; weights, and what they are mixed into, hold none by accident.
    if x.reached is not None:
        most = function(max(map(abs, x.reached)))
        return most, most
    if x.low < 0 <= x.high and not x.parameter:
        return function(0.0), function(min(x.size, max(abs(x.low), abs(x.high))))
    return None


def even(x: Range, function: Callable[[float], float]) -> Range:
    """An even function that is least at zero."""
    least = 0.0 if x.low <= 0 <= x.high else min(abs(x.low), abs(x.high))
    most = max(abs(x.low), abs(x.high))
    return Range(function(least), function(most), folded(x, function), function(x.size), integer=x.integer)


def power_of(x: Range, p: float) -> Range:
    """X to a positive power p."""
    if p == int(p) and p % 2 == 0:
        return even(x, lambda v: power(v, p))
    odd = p == int(p)

    def value(v: float) -> float:
        if v < 0:
            return -power(-v, p) if odd else 0.0
        return power(v, p)

    reached = None if x.reached is None else (value(x.reached[0]), value(x.reached[1]))
    return Range(value(x.low), value(x.high), reached, power(x.size, p), integer=x.integer and odd)


def _power(q: Question) -> Range:
    x, exponent = q.x, q.y
    if x.exact is not None and x.exact > 0 and exponent.exact is None:
        return exponential(exponent, x.exact)
    p = exponent.exact
    if p is None:
        return Range(0.0 if x.low >= 0 else -INF)
    if p == 0:
        return number(1.0)
    return power_of(x, p) if p > 0 else divided(number(1.0), power_of(x, -p))


def _multiply(q: Question) -> Range:
    return power_of(q.x, 2.0) if q.same(q.argument(0), q.argument(1)) else multiplied(q.x, q.y)


def _exponent(q: Question) -> Range:
    return q.x.changed(size=min(q.x.size, upward(q, q.argument(0))))


RULES: dict[str, Rule] = {
    "pow": _power,
    "mul": _multiply,
    "square": lambda q: power_of(q.x, 2.0),
    "exp": lambda q: exponential(_exponent(q)),
    "exp2": lambda q: exponential(_exponent(q), 2.0),
    "special_exp2": lambda q: exponential(_exponent(q), 2.0),
}
