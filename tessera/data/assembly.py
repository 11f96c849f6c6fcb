"""From samples of which only some stayed, or from rows that were packed of them, to this rank's batches."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from tessera.data.cursor import Cursor
from tessera.data.share import Share

Placed = tuple[Any, Cursor]
"""A sample or a batch, and where the next one begins."""


def one_by_one(results: Iterable[tuple[list[int], list[Any]]]) -> Iterator[Placed]:
    """The samples that stayed, from the values of results."""
    for positions, samples in results:
        for position, sample in zip(positions, samples, strict=True):
            yield sample, Cursor(position + 1)


@dataclass(frozen=True)
class Assembly:
    """Cuts a row of samples into global batches, of which this rank takes its part.

    Attributes:
        share: how large a batch is and which part of it is this rank's.
        drop_last: leave out a last batch that is smaller.
    """

    share: Share
    drop_last: bool

    def batches(self, samples: Iterable[Placed]) -> Iterator[tuple[list[Any], Cursor]]:
        """This rank's samples of each global batch, and where the batch after it begins."""
        taken: list[Any] = []
        for number, (sample, after) in enumerate(samples):
            place = number % self.share.batch_size
            if place in self.share.mine:
                taken.append(sample)
            if place == self.share.batch_size - 1:
                yield taken, after
                taken = []
            cursor = after
        if taken and not self.drop_last:
            yield taken, cursor
