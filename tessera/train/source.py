"""Which road a user's data takes: in memory, or batch by batch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from operator import length_hint
from typing import Protocol

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset

from tessera.errors import BatchError
from tessera.train.batches import Batch, BatchReader, Stack
from tessera.train.in_memory import in_memory
from tessera.train.pace import Pace
from tessera.train.stream import stream


class Source(Protocol):
    """What training asks of data."""

    @property
    def steps(self) -> int | None:
        """Steps in an epoch, where the data knows it."""

    @property
    def once(self) -> bool:
        """Whether the data can be gone through a single time only."""

    @property
    def span(self) -> int:
        """Epochs worth training without a look in between."""

    def take(self, epochs: int, limit: int, pace: Pace) -> Iterator[Batch | Stack]:
        """The batches of the next ``epochs`` epochs, at most ``limit`` of them."""

    def batches(self) -> Iterator[Batch]:
        """The batches of one pass, without training's order."""


def source(
    found: object, reader: BatchReader, name: str, batch_size: int, *, shuffle: bool, seed: int | None = None
) -> Source:
    """The data in ``found``; see ``fit`` for what it may be.

    Args:
        name: what errors call it.
        shuffle: draw a new order in every epoch, of data in memory and of Datasets; any other iterable has its own.
        seed: of that order; None draws one from torch's random numbers.

    Raises:
        BatchError, EmptyDatasetError: it is no data, or there is none.
    """
    if isinstance(found, TensorDataset):
        found = found.tensors
    if reader.whole and isinstance(found, (torch.Tensor, np.ndarray)):
        found = (found,)
    if isinstance(found, (tuple, Mapping)):
        return in_memory(found, reader, name, batch_size, _generator(seed) if shuffle else None)
    if isinstance(found, Dataset):
        # DataLoader refuses to shuffle nothing; an empty dataset is reported like any other empty data.
        ordered = shuffle and not isinstance(found, IterableDataset) and length_hint(found, 1) > 0
        generator = _generator(seed) if ordered else None
        found = DataLoader(found, batch_size, shuffle=ordered, generator=generator)
    return stream(found, reader, name)


def check_passes(data: Source, name: str, passes: int | None) -> None:
    """Refuse several ``passes`` (None: an unknown number) over data that yields its batches a single time.

    Raises:
        BatchError: it is an iterator.
    """
    if data.once and passes != 1:
        raise BatchError(
            f"The {name} is an iterator, and {passes or 'several'} epochs were asked for.",
            "An iterator yields its batches once, and every epoch goes over the data anew.",
            "Pass a list, a DataLoader or a class with __iter__ that starts anew; or train one epoch, or with steps=.",
        )


def _generator(seed: int | None) -> torch.Generator:
    if seed is None:
        seed = int(torch.empty((), dtype=torch.int64).random_())
    return torch.Generator().manual_seed(seed)
