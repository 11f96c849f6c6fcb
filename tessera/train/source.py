"""Which road a user's data takes: in memory, or batch by batch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Protocol

import torch
from torch.utils.data import TensorDataset

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
    def span(self) -> int:
        """Epochs worth training without a look in between."""

    def take(self, epochs: int, limit: int, pace: Pace) -> Iterator[Batch | Stack]:
        """The batches of the next ``epochs`` epochs, at most ``limit`` of them."""

    def batches(self) -> Iterator[Batch]:
        """The batches of one pass in the order of the data."""


def source(
    found: object, reader: BatchReader, batch_size: int, generator: torch.Generator | None, name: str
) -> Source:
    """The data in ``found``; see ``fit`` for what it may be. ``generator`` draws the order, None keeps it."""
    if isinstance(found, TensorDataset):
        found = found.tensors
    if isinstance(found, (tuple, Mapping)):
        return in_memory(found, reader, batch_size, generator, name)
    return stream(found, reader, batch_size, generator, name)
