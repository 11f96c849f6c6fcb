"""Which road a user's data takes: in memory, or batch by batch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from operator import length_hint
from typing import Any, Protocol

import numpy as np
import torch
from torch.utils.data import Dataset, IterableDataset, TensorDataset

from tessera.data.loader import Loader
from tessera.errors import BatchError, EmptyDatasetError
from tessera.train.batches import Batch, BatchReader, Stack, describe
from tessera.train.in_memory import in_memory
from tessera.train.pace import Pace
from tessera.train.stream import stream


class Source(Protocol):
    """What training asks of data."""

    epoch: int
    """Number of the epoch that the next batch belongs to, from 0."""

    offset: int
    """Batches of that epoch before it."""

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
        """The batches of the next ``epochs`` epochs, the running one among them, at most ``limit`` of them."""

    def batches(self) -> Iterator[Batch]:
        """The batches of one pass, without training's order."""

    def state_dict(self) -> dict[str, Any]:
        """The position after the batches handed out last."""

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from ``state_dict()``."""

    def fingerprint(self) -> Any:
        """What would differ if it were other data."""


def source(
    found: object,
    reader: BatchReader,
    name: str,
    batch_size: int,
    *,
    shuffle: bool,
    seed: int | None = None,
    sample_weight: object = None,
) -> Source:
    """The data in ``found``; see ``fit`` for what it may be.

    Args:
        name: what errors call it.
        shuffle: draw a new order in every epoch, of data in memory and of Datasets; any other iterable has its own.
        seed: of that order; None draws one from torch's random numbers.
        sample_weight: one for each sample of data in memory.

    Raises:
        BatchError, EmptyDatasetError: it is no data, or there is none.
    """
    if isinstance(found, TensorDataset):
        found = found.tensors
    if reader.whole and isinstance(found, (torch.Tensor, np.ndarray)):
        found = (found,)
    if isinstance(found, (tuple, Mapping)):
        return in_memory(found, reader, name, batch_size, _seed(seed) if shuffle else None, sample_weight)
    if sample_weight is not None:
        raise BatchError(
            f"sample_weight was passed, and the {name} is {describe(found)}.",
            "It belongs to data in memory, one weight for each sample.",
            "Yield dicts with the keys 'labels' and 'sample_weight', or pass the data as (inputs, labels).",
        )
    if isinstance(found, Dataset):
        if length_hint(found, 1) == 0:
            raise EmptyDatasetError(
                f"The {name} has no samples: its length is 0.",
                "There is at least one sample.",
                "Check the path or the selection that the Dataset was made with.",
            )
        ordered = shuffle and not isinstance(found, IterableDataset)
        found = Loader(found, batch_size, shuffle=ordered, seed=_seed(seed) if ordered else 0)
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


def _seed(seed: int | None) -> int:
    return int(torch.empty((), dtype=torch.int64).random_()) if seed is None else seed
