"""A source and what happens to its samples."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset as TorchDataset

from tessera.data.pack import Pack
from tessera.data.source import Source
from tessera.data.sources.selection import Selection
from tessera.data.stages import Filter, Map, Stage
from tessera.errors import SettingError


@dataclass(frozen=True)
class Dataset(TorchDataset[Any]):
    """Samples by number, and functions to apply to them when they are read. Every method returns a new dataset.

    It is a ``torch.utils.data.Dataset`` too, so that torch's own loader takes it; only ``Loader`` gives random maps
    numbers that do not depend on the workers, and only it filters and packs.
    """

    source: Source
    stages: tuple[Stage, ...] = ()
    packing: Pack | None = None

    def map(self, function: Callable[..., Any], *, random: bool = True) -> Dataset:
        """Apply ``function`` to every sample.

        Args:
            function: ``(sample) -> sample``. With a parameter ``rng`` it gets a ``numpy.random.Generator`` that is its
                own for every sample and epoch; without, the global generators of Python, NumPy and torch are seeded
                for every sample. Either way a sample comes out the same for any number of workers.
            random: False says that it draws nothing, which saves the seeding (some ten microseconds a sample). A
                function that draws all the same is an error.
        """
        return self._then(Map(function, random))

    def filter(self, function: Callable[..., Any], *, random: bool = True) -> Dataset:
        """Keep the samples for which ``function`` returns true; arguments as of ``map``.

        Nobody knows how many stay without asking for all of them, so ``len`` of a loader is not known then, and with
        several ranks each asks for the samples of all.
        """
        return self._then(Filter(function, random))

    def pack(self, length: int, **options: Any) -> Dataset:
        """Cut and join documents to rows of ``length`` tokens; see ``Pack``. The last thing to do.

        Samples are documents: 1-d tensors, arrays or lists of token numbers.
        """
        self._check_unpacked("pack")
        return replace(self, packing=Pack(length, **options))

    def select(self, indices: Sequence[int] | np.ndarray | torch.Tensor) -> Dataset:
        """Only the samples ``indices``, in this order; before any filter.

        Raises:
            SettingError: an index is out of range, or a filter came before.
        """
        if not self.dense:
            raise SettingError(
                "select() was called after filter() or pack().",
                "It chooses samples by their number in the source.",
                "Call select() first.",
            )
        return replace(self, source=Selection(self.source, indices))

    @property
    def dense(self) -> bool:
        """Whether every sample of the source is one sample of the dataset."""
        return self.packing is None and not any(isinstance(stage, Filter) for stage in self.stages)

    def every_stage(self) -> tuple[Stage, ...]:
        """Those of the source and those after it."""
        return (*self.source.every_stage(), *self.stages)

    def describe(self) -> dict[str, Any]:
        """What would differ if it were another dataset. Functions count by their kind: their code is not looked at."""
        packing = None if self.packing is None else self.packing.describe()
        kinds = [type(stage).__name__.lower() for stage in self.stages]
        return {"source": self.source.describe(), "stages": kinds, "packing": packing}

    def __len__(self) -> int:
        if not self.dense:
            raise TypeError("a dataset with a filter or packing has no len(): it is only known at the end of an epoch")
        return len(self.source)

    def __getitem__(self, index: int) -> Any:
        """Sample ``index`` as epoch 0 with seed 0 has it.

        Raises:
            IndexError: there is no such sample.
            SettingError: there is a filter or packing.
        """
        if not self.dense:
            raise SettingError(
                f"Sample {index} of a dataset with a filter or packing was asked for.",
                "Which samples stay is only known when all before them have been looked at.",
                "Iterate over tessera.data.Loader(dataset, batch_size).",
            )
        size = len(self.source)
        if not -size <= index < size:
            raise IndexError(f"sample {index} of {size}")
        index %= size
        (sample,) = self.source.samples(np.array([index]))
        for number, stage in enumerate((*self.source.stages_of(index), *self.stages)):
            sample = stage(sample, 0, 0, index, number)
        return sample

    def _then(self, stage: Stage) -> Dataset:
        self._check_unpacked(stage.name)
        return replace(self, stages=(*self.stages, stage))

    def _check_unpacked(self, name: str) -> None:
        if self.packing is not None:
            raise SettingError(
                f"{name} was called after pack().",
                "Packing is the last thing that happens to samples.",
                "Call pack() last, and change whole batches with Loader(..., collate=function).",
            )
