"""A random order of ``n`` things computed position by position: no list of it is ever held.

A generalised Feistel network (Black and Rogaway, "Ciphers with arbitrary finite domains", 2002). The positions are laid
out as a table of about ``sqrt(n)`` rows; every round turns all columns by amounts drawn from the row, or all rows by
amounts drawn from the column. Each round can be undone, so all of them together are a permutation of the table; the
few cells of the table beyond ``n`` are sent through again until they land inside. The amounts come from SplitMix64
(Steele, Lea and Flood, 2014) in plain 64-bit arithmetic, so an order is the same on every machine and with every
version of NumPy and torch, which their own shuffles do not promise.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Indices = NDArray[np.int64]

_ROUNDS, _ROUNDS_SMALL = (
    8,
    16,
)  # in a small table a round moves little; tested: all orders of 2 to 6 things are as likely
_SMALL = 4096
_WORD = (1 << 64) - 1
_GOLDEN, _FIRST, _SECOND = 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB
_HALF = np.uint64(32)


def mix(*words: int) -> int:
    """One 64-bit number from several whole numbers of at least 0, each of any size."""
    state = len(words)
    for word in words:
        rest = word
        while True:
            state = _finish((state ^ (rest & _WORD)) + _GOLDEN)
            rest >>= 64
            if not rest:
                break
    return state


class Permutation:
    """A permutation of ``range(size)`` chosen by ``key``; ``p(positions)`` is where each position goes."""

    def __init__(self, size: int, *key: int) -> None:
        self.size = size
        self._rows = math.isqrt(max(0, size - 1)) + 1
        self._columns = max(1, -(-size // self._rows))
        rounds = _ROUNDS_SMALL if size <= _SMALL else _ROUNDS
        self._keys = [np.uint64(mix(size, *key, number)) for number in range(rounds)]

    def __call__(self, positions: Indices) -> Indices:
        """``positions``, int64 of any shape within ``range(size)``, to as many different indices, int64."""
        values = self._turn(positions.astype(np.uint64))
        outside = values >= np.uint64(self.size)
        while outside.any():
            values[outside] = self._turn(values[outside])
            outside = values >= np.uint64(self.size)
        return values.astype(np.int64)

    def _turn(self, values: NDArray[np.uint64]) -> NDArray[np.uint64]:
        rows, columns = np.uint64(self._rows), np.uint64(self._columns)
        row, column = np.divmod(values, columns)
        for first, second in zip(self._keys[::2], self._keys[1::2], strict=True):
            row = (row + _draw(column, first, rows)) % rows
            column = (column + _draw(row, second, columns)) % columns
        return row * columns + column


def _draw(values: NDArray[np.uint64], key: np.uint64, below: np.uint64) -> NDArray[np.uint64]:
    """A number below ``below`` (itself below 2**32) for every value, by SplitMix64's last steps."""
    word = values * np.uint64(_GOLDEN) + key
    word = (word ^ (word >> np.uint64(30))) * np.uint64(_FIRST)
    word = (word ^ (word >> np.uint64(27))) * np.uint64(_SECOND)
    return (word >> _HALF) * below >> _HALF


def _finish(word: int) -> int:
    word &= _WORD
    word = (word ^ (word >> 30)) * _FIRST & _WORD
    word = (word ^ (word >> 27)) * _SECOND & _WORD
    return word ^ (word >> 31)
