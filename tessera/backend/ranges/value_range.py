"""What is known of the values of one tensor.

Two intervals, and only the second is evidence:

    low .. high     every finite value lies in it; unbounded where nothing is known
    reached         values that ordinary inputs are known to take, from the least to the largest; None: not known

A program is safe where the first interval stays clear of what is wrong, and known to be wrong where the second does
not. In between nothing is known, and nothing is said.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

from tessera.backend.ranges.rows import NO_FACTS, Rows

INF = math.inf
Hull = tuple[float, float]


@dataclass(frozen=True)
class Range:
    """What is known of the values of a tensor.

    Attributes:
        low, high: bounds of all finite values.
        reached: hull of values that are known to be taken.
        size: a magnitude that is ordinary, of either sign; 0 where none is known.
        data, parameter: whether it depends on what is passed in, and on what is trained.
        sources: bits, one for each input and each random draw it depends on.
        integer: whether all values are whole numbers.
        exact: the one value it has, known without rounding; None: it has several, or is not known.
        rows: what is known of the values along a dim together.
    """

    low: float = -INF
    high: float = INF
    reached: Hull | None = None
    size: float = 1.0
    data: bool = False
    parameter: bool = False
    sources: int = 0
    integer: bool = False
    rows: Rows = field(default=NO_FACTS)

    @property
    def exact(self) -> float | None:
        return self.low if self.low == self.high else None

    @property
    def constant(self) -> bool:
        """Whether nothing that is passed in or trained changes it."""
        return not (self.data or self.parameter or self.sources)

    @property
    def bounded(self) -> bool:
        return self.low > -INF and self.high < INF

    @property
    def signed(self) -> bool:
        """Whether values of both signs are known to be taken."""
        return self.reached is not None and self.reached[0] < 0 < self.reached[1]

    @property
    def reaches_zero(self) -> bool:
        """Whether zero is known to be taken, or to be passed on the way from one sign to the other."""
        return self.reached is not None and self.reached[0] <= 0 <= self.reached[1] and self.low <= 0 <= self.high

    def within(self, low: float, high: float) -> bool:
        return self.low >= low and self.high <= high

    def independent(self, other: Range) -> bool:
        return not self.sources & other.sources

    def changed(self, **changes: object) -> Range:
        return replace(self, **changes)  # type: ignore[arg-type]

    def plain(self) -> Range:
        """Without what is known of rows."""
        return self if self.rows is NO_FACTS else replace(self, rows=NO_FACTS)


TOP = Range()


def between(low: float, high: float) -> Range:
    """A range that is declared: all of it is taken, but for an end that is infinite."""
    ends = [end for end in (low, high) if math.isfinite(end)]
    return Range(low, high, hull(ends), max(map(abs, ends), default=1.0))


def number(value: float) -> Range:
    """Of a constant."""
    finite = math.isfinite(value)
    return Range(value, value, (value, value), abs(value) if finite else 1.0, integer=finite and value == int(value))


def hull(values: Iterable[float]) -> Hull | None:
    """From the least to the largest of what is a number at all."""
    known = [value for value in values if not math.isnan(value)]
    return (min(known), max(known)) if known else None


def corners(combine: Callable[[float, float], float], a: Hull, b: Hull) -> Hull:
    """What ``combine``, monotone in each argument, makes of two intervals."""
    found = hull(combine(x, y) for x in a for y in b)
    return found if found is not None else (-INF, INF)


def union(ranges: Iterable[Range]) -> Range:
    """Of values that come from one or another of several places."""
    parts = list(ranges)
    known = [part.reached for part in parts if part.reached is not None]
    return Range(
        min(part.low for part in parts),
        max(part.high for part in parts),
        (min(low for low, _ in known), max(high for _, high in known)) if known else None,
        max(part.size for part in parts),
        any(part.data for part in parts),
        any(part.parameter for part in parts),
        _either(part.sources for part in parts),
        all(part.integer for part in parts),
    )


def _either(bits: Iterable[int]) -> int:
    found = 0
    for one in bits:
        found |= one
    return found


def product(a: float, b: float) -> float:
    """As of numbers: an unbounded one times zero is zero."""
    return 0.0 if a == 0 or b == 0 else a * b


def quotient(a: float, b: float) -> float:
    """The quotient, infinite or NaN where b is zero, zero where b is infinite."""
    if b == 0:
        return math.nan if a == 0 else math.copysign(INF, a)
    return 0.0 if math.isinf(b) else a / b


def power(a: float, b: float) -> float:
    """The power, infinite where it overflows and NaN where it is not real."""
    try:
        found = a**b
    except OverflowError:
        return INF
    except ZeroDivisionError:
        return INF
    return found if isinstance(found, (float, int)) else math.nan
