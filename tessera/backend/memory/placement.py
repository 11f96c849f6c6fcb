"""Where buffers of known size and life lie in one stretch of memory that is little longer than what exists at once.

Larger ones choose first; each takes the lowest gap between those that live at the same time. Which order is best
depends on the buffers, so several are tried.

References:
    Pisarchyk and Lee, Efficient memory management for deep neural net inference, 2020, arXiv:2001.03288.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

ALIGNMENT = 64  # bytes


@dataclass
class Allocation:
    """``size`` bytes from one moment to another; ``end`` is None while nobody has let go of them."""

    size: int
    start: int
    end: int | None = None


def placement(lives: Sequence[Allocation]) -> list[int]:
    """The first byte of each, aligned."""
    return min((_placed(lives, order) for order in _ORDERS), key=lambda starts: extent(lives, starts), default=[])


def extent(lives: Sequence[Allocation], starts: Sequence[int]) -> int:
    """Bytes from the first to the last that any of them takes."""
    return max((start + aligned(life.size) for life, start in zip(lives, starts, strict=True)), default=0)


def aligned(size: int) -> int:
    """``size`` rounded up to where the next buffer may begin."""
    return -(-size // ALIGNMENT) * ALIGNMENT


_END = float("inf")


def _lasting(life: Allocation) -> float:
    return (_END if life.end is None else life.end) - life.start


_ORDERS: tuple[Callable[[Allocation], object], ...] = (
    lambda life: (-life.size, life.start),
    lambda life: (-_lasting(life), -life.size),
    lambda life: life.start,
)


def _placed(lives: Sequence[Allocation], order: Callable[[Allocation], object]) -> list[int]:
    starts = [0] * len(lives)
    placed: list[tuple[int, int, int, float]] = []  # first byte, last byte, first moment, last moment; by first byte
    for at in sorted(range(len(lives)), key=lambda at: order(lives[at])):  # type: ignore[arg-type, return-value]
        life = lives[at]
        size, begin, end = aligned(life.size), life.start, _END if life.end is None else life.end
        free = 0
        for low, high, since, until in placed:
            if since < end and begin < until:
                if low - free >= size:
                    break
                free = max(free, high)
        starts[at] = free
        index = next((i for i, other in enumerate(placed) if other[0] > free), len(placed))
        placed.insert(index, (free, free + size, begin, end))
    return starts
