"""Runs in a sequence: a stretch that follows itself again and again, as the layers of a deep model do.

a b c d e c d e c d e f        from 2, a period of 3, three times
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Run:
    """``sequence[i] == sequence[i + period]`` for every ``i`` from ``start`` on, as long as both are before ``end``."""

    start: int
    period: int
    end: int

    @property
    def saved(self) -> int:
        """Places that need not be looked at when only one of the periods is."""
        return (self.end - self.start) // self.period * self.period - self.period


def longest_run(sequence: Sequence[Hashable], shortest: int) -> Run | None:
    """The run that saves most places, of the shortest period where several do.

    Periods below ``shortest`` are not looked at. Items that are None equal nothing, not even each other.
    """
    numbers: dict[Hashable, int] = {}
    codes = np.array(
        [-i - 1 if item is None else numbers.setdefault(item, len(numbers)) for i, item in enumerate(sequence)]
    )
    best: Run | None = None
    for period in range(shortest, len(codes) // 2 + 1):
        equal = codes[:-period] == codes[period:]
        edges = np.flatnonzero(np.diff(np.concatenate(([False], equal, [False])).astype(np.int8)))
        starts, ends = edges[::2], edges[1::2]
        for at in np.flatnonzero(ends - starts >= period):
            run = Run(int(starts[at]), period, int(ends[at]) + period)
            if best is None or run.saved > best.saved:
                best = run
    return best
