"""Data that can only be iterated over: torch's ``IterableDataset``, a class with ``__iter__``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from tessera.data.permutation import Indices
from tessera.data.source import Samples, Source


class Iterated(Source):
    """The samples of ``data`` in its own order. A method ``set_epoch(epoch)`` is called before each epoch, if there."""

    numbered = False

    def __init__(self, data: Iterable[Any]) -> None:
        self.data = data

    def __len__(self) -> int:
        raise TypeError("data that can only be iterated over has no len()")

    def samples(self, indices: Indices) -> Samples:
        raise TypeError("data that can only be iterated over has no numbers")

    def iterate(self, epoch: int) -> Iterator[Any]:
        if hasattr(self.data, "set_epoch"):
            self.data.set_epoch(epoch)
        return iter(self.data)

    def describe(self) -> dict[str, Any]:
        return {"kind": type(self.data).__qualname__}
