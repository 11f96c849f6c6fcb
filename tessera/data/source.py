"""What data is to a loader: samples by number."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from tessera.data.order import InOrder, Order, Shuffled
from tessera.data.permutation import Indices
from tessera.data.stages import Stage

Samples = list[Any]
Empty = Callable[[tuple[int, ...], Any], np.ndarray]
"""Makes an array of a shape and dtype, as ``numpy.empty``: where a batch is wanted, so that nobody has to copy it."""


class Source(ABC):
    """Samples by number. A new kind of data is one subclass with ``__len__``, ``samples`` and ``describe``."""

    columnar = False
    """Whether ``batch`` reads many samples faster than ``samples`` reads them one by one."""

    numbered = True
    """Whether samples are asked for by number; else there is only ``iterate``."""

    @abstractmethod
    def __len__(self) -> int:
        """How many samples there are."""

    @abstractmethod
    def samples(self, indices: Indices) -> Samples:
        """The samples ``indices``, int64 ``[k]``, in this order.

        Raises:
            DataError: a file cannot be read; it names the file and the row.
        """

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """What would differ if it were other data: plain numbers, strings, lists and dicts."""

    def batch(self, indices: Indices, empty: Empty = np.empty) -> Any:
        """The same samples as one batch, in memory from ``empty`` as far as possible; only where ``columnar``."""
        raise NotImplementedError

    def iterate(self, epoch: int) -> Iterator[Any]:
        """All samples one by one; only where not ``numbered``."""
        raise NotImplementedError

    def order(self, key: tuple[int, ...] | None) -> Order:
        """The order of an epoch: shuffled by ``key``, or the source's own for None."""
        return InOrder(len(self)) if key is None else Shuffled(len(self), *key)

    def name(self, index: int) -> str:
        """Where sample ``index`` comes from, in words."""
        return f"sample {index:,}"

    def stages_of(self, index: int) -> tuple[Stage, ...]:
        """Functions that belong to reading this sample."""
        return ()

    def every_stage(self) -> tuple[Stage, ...]:
        """All stages that ``stages_of`` can return."""
        return ()
