"""Which sample stands at which position of an epoch."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from tessera.data.permutation import Indices, Permutation

_BLOCK = 8192  # positions looked up at a time: the cost of a call is spread over many batches


class Order(Protocol):
    """Positions of an epoch to indices of a source, for any epoch and any positions, without those before them."""

    def __len__(self) -> int:
        """Positions in an epoch."""

    def indices(self, epoch: int, positions: Indices) -> Indices:
        """The samples at ``positions`` of ``epoch``: int64 ``[k]`` to int64 ``[k]``."""


class InOrder:
    """The order of the source itself."""

    def __init__(self, size: int) -> None:
        self._size = size

    def __len__(self) -> int:
        return self._size

    def indices(self, epoch: int, positions: Indices) -> Indices:
        return positions


class Shuffled:
    """Every epoch a new order of all samples."""

    def __init__(self, size: int, *key: int) -> None:
        self._size, self._key = size, key
        self._held = (-1, Permutation(size))  # one attribute, so that threads never see half a change

    def __len__(self) -> int:
        return self._size

    def indices(self, epoch: int, positions: Indices) -> Indices:
        known, permutation = self._held
        if known != epoch:
            permutation = Permutation(self._size, *self._key, epoch)
            self._held = (epoch, permutation)
        return permutation(positions)


class Lookup:
    """An order looked up in blocks, for somebody who walks through it."""

    def __init__(self, order: Order) -> None:
        self.order = order
        self._held = ((-1, -1), np.empty(0, np.int64))

    def indices(self, epoch: int, start: int, stop: int) -> Indices:
        """The samples at positions ``start`` to ``stop`` of ``epoch``: int64 ``[stop - start]``."""
        pieces = []
        while start < stop:
            number, inside = divmod(start, _BLOCK)
            taken = min(stop - start, _BLOCK - inside)
            pieces.append(self._block(epoch, number)[inside : inside + taken])
            start += taken
        return pieces[0] if len(pieces) == 1 else np.concatenate([*pieces, np.empty(0, np.int64)])

    def _block(self, epoch: int, number: int) -> Indices:
        address, block = self._held
        if address != (epoch, number):
            last = min((number + 1) * _BLOCK, len(self.order))
            block = self.order.indices(epoch, np.arange(number * _BLOCK, last))
            self._held = ((epoch, number), block)
        return block
