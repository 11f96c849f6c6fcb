"""A shuffle for data that is read in groups of samples, such as the row groups of a Parquet file.

The groups are shuffled, and the samples are shuffled among every few groups that follow each other then (a window). So
only the groups of one window are held at a time, and each is read once in an epoch. With one window for all groups the
shuffle is a full one.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tessera.data.permutation import Indices, Permutation


class WindowedOrder:
    """Shuffled groups, and shuffled samples in windows of them.

    Args:
        sizes: samples of each group.
        width: groups in a window.
        key: of the shuffle.
    """

    def __init__(self, sizes: Sequence[int] | Indices, width: int, *key: int) -> None:
        self._sizes = np.asarray(sizes, np.int64)
        self._firsts = np.cumsum(self._sizes) - self._sizes
        self._width, self._key = width, key
        self._held = (-1, *self._groups(0))

    def __len__(self) -> int:
        return int(self._sizes.sum())

    def indices(self, epoch: int, positions: Indices) -> Indices:
        known, groups, starts = self._held
        if known != epoch:
            groups, starts = self._groups(epoch)
            self._held = (epoch, groups, starts)
        edges = np.append(starts[:: self._width], len(self))
        windows = np.searchsorted(edges, positions, side="right") - 1
        mixed = np.empty(len(positions), np.int64)
        for window in np.unique(windows):
            mine = windows == window
            first, last = int(edges[window]), int(edges[window + 1])
            mixed[mine] = first + Permutation(last - first, *self._key, epoch, int(window))(positions[mine] - first)
        slots = np.searchsorted(starts, mixed, side="right") - 1
        return self._firsts[groups[slots]] + mixed - starts[slots]

    def _groups(self, epoch: int) -> tuple[Indices, Indices]:
        """The groups in their order in ``epoch``, and the position at which each begins."""
        groups = Permutation(len(self._sizes), *self._key, epoch)(np.arange(len(self._sizes)))
        sizes = self._sizes[groups]
        return groups, np.cumsum(sizes) - sizes
