"""Data that yields batches one by one: a DataLoader, a list, a generator."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from operator import length_hint

from tessera.errors import BatchError, EmptyDatasetError
from tessera.train.batches import Batch, BatchReader, Stack, describe
from tessera.train.pace import Pace


@dataclass
class Stream:
    """An iterable of batches.

    Attributes:
        data: iterated once for each epoch.
        reader: makes a batch of each item.
        name: what errors call it: ``"training data"``.
    """

    data: Iterable[object]
    reader: BatchReader
    name: str
    span: int = field(default=1, init=False)  # every epoch is a new pass over the data

    @property
    def steps(self) -> int | None:
        """Steps in an epoch, where the data knows it."""
        return length_hint(self.data) or None

    @property
    def once(self) -> bool:
        """Whether the data is an iterator, which yields its batches a single time."""
        return isinstance(self.data, Iterator)

    def take(self, epochs: int, limit: int, pace: Pace) -> Iterator[Batch | Stack]:
        """The batches of the next ``epochs`` epochs, at most ``limit`` of them; ``pace`` is for data in memory."""
        return itertools.islice(itertools.chain.from_iterable(self.batches() for _ in range(epochs)), limit)

    def batches(self) -> Iterator[Batch]:
        """The batches of one pass.

        Raises:
            BatchError: an item is no batch.
            EmptyDatasetError: there was no item.
        """
        number = 0
        for number, found in enumerate(self.data, 1):
            yield self.reader.read(found, f"Batch {number} of the {self.name}")
        if number == 0:
            raise EmptyDatasetError(
                f"The {self.name} yielded no batch.",
                "Training needs at least one batch in every epoch.",
                "Check that the dataset is not empty, that `drop_last` does not drop its only batch, and that the "
                "iterable gives a new iterator each time it is asked.",
            )


def stream(found: object, reader: BatchReader, name: str) -> Stream:
    """The stream in ``found``, an iterable of batches.

    Raises:
        BatchError: it cannot be iterated.
    """
    if isinstance(found, Iterable) and not isinstance(found, (str, bytes)):
        return Stream(found, reader, name)
    raise BatchError(
        f"The {name} is {describe(found)}, which holds no batches.",
        "Data is (inputs, labels) in memory, a Dataset, a DataLoader, or any iterable of batches.",
        "Write for example fit(model, (x, y)) or fit(model, loader).",
    )
