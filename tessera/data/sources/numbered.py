"""Anything with ``__len__`` and ``__getitem__``: torch's map-style Datasets, Grain's sources, lists."""

from __future__ import annotations

from typing import Any, Protocol

from tessera.data.permutation import Indices
from tessera.data.source import Samples, Source
from tessera.data.stages import Read, Stage


class Indexable(Protocol):
    """What torch calls a map-style dataset."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Any: ...


class Numbered(Source):
    """The samples of ``data``. Where it has ``__getitems__`` and draws no random numbers, many are read at once.

    Args:
        random: reading may draw from the global random generators.
    """

    def __init__(self, data: Indexable, *, random: bool) -> None:
        self.data = data
        self._many = None if random else getattr(data, "__getitems__", None)
        self._stages = () if self._many else (Read(self._one, random, type(data).__getitem__),)

    def __len__(self) -> int:
        return len(self.data)

    def samples(self, indices: Indices) -> Samples:
        return list(self._many(indices.tolist())) if self._many else indices.tolist()

    def describe(self) -> dict[str, Any]:
        return {"kind": type(self.data).__qualname__, "samples": len(self)}

    def stages_of(self, index: int) -> tuple[Stage, ...]:
        return self._stages

    def every_stage(self) -> tuple[Stage, ...]:
        return self._stages

    def _one(self, index: int) -> Any:
        return self.data[index]
