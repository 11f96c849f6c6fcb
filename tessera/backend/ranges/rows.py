"""What is known of the values along one dim together, and where that dim is after a change of shape.

``x / norm(x)`` has rows of length 1, so that a product of two such rows is at most 1; ``exp(x - max(x))`` has a 1 in
every row, so that its sum is not zero. Intervals of single values know none of it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

Dims = frozenset[int]


@dataclass(frozen=True)
class Fact:
    """A number that holds for the values along ``dims``."""

    dims: Dims
    value: float


@dataclass(frozen=True)
class Rows:
    """Facts of rows.

    Attributes:
        peak: the largest value of a row is at least this.
        total: the values of a row are not negative, and their sum is at most this.
        length: the root of the sum of squares of a row is at most this.
    """

    peak: Fact | None = None
    total: Fact | None = None
    length: Fact | None = None

    def moved(self, where: Callable[[int], int | None]) -> Rows:
        """The same where dim ``d`` became ``where(d)``; None: it is gone, or no longer whole."""
        if self is NO_FACTS:
            return self
        return Rows(*(_moved(fact, where) for fact in (self.peak, self.total, self.length)))

    def scaled(self, factor: float) -> Rows:
        """Of the values times a positive ``factor``."""
        if self is NO_FACTS:
            return self
        facts = (self.peak, self.total, self.length)
        return Rows(*(fact and Fact(fact.dims, fact.value * factor) for fact in facts))

    def bounds(self) -> Rows:
        """What stays of it when some values become smaller, or are left out."""
        return Rows(None, self.total, self.length) if self.total or self.length else NO_FACTS


NO_FACTS = Rows()


def _moved(fact: Fact | None, where: Callable[[int], int | None]) -> Fact | None:
    if fact is None:
        return None
    dims = [where(dim) for dim in fact.dims]
    return None if None in dims else Fact(frozenset(dim for dim in dims if dim is not None), fact.value)


def after_view(before: Sequence[int], after: Sequence[int]) -> Callable[[int], int | None]:
    """Where a dim is in a view of another shape: what stands before it and its own size stay the same."""

    def where(dim: int) -> int | None:
        ahead = math.prod(before[:dim])
        for i, size in enumerate(after):
            if size == before[dim] and math.prod(after[:i]) == ahead:
                return i
        return None

    return where
