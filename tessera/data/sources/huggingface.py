"""Hugging Face datasets, from the disk or as they are in memory."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from tessera.data.dataset import Dataset
from tessera.data.permutation import Indices
from tessera.data.source import Empty, Samples, Source
from tessera.data.sources.files import missing, unreadable
from tessera.errors import SettingError


def huggingface(found: Any, *, split: str | None = None) -> Dataset:
    """A ``datasets.Dataset``, or the folder that its ``save_to_disk`` wrote; samples as of ``parquet``.

    Its rows are mapped, so a shuffle is a full one whatever their size. Features that are objects of that library
    (images, audio) stay as they are stored; decode them with ``map``.

    Args:
        found: the dataset, or the path.
        split: which one, where there are several.

    Raises:
        DataError: the folder cannot be read.
        SettingError: there are several splits and none was chosen, or there is no such split.
        MissingDependencyError: datasets is not installed.
    """
    try:
        import datasets
    except ImportError as error:
        raise missing("datasets", "huggingface") from error
    if isinstance(found, (str, os.PathLike)):
        try:
            found = datasets.load_from_disk(os.fspath(found))
        except (OSError, ValueError, KeyError) as error:
            raise unreadable(Path(found), "", error) from error
    if isinstance(found, dict) and split not in found:
        raise SettingError(
            f"split={split!r} was passed.",
            f"The dataset has the splits {', '.join(map(repr, found))}.",
            f"Write split={next(iter(found), 'train')!r}.",
        )
    return Dataset(HuggingFace(found[split] if isinstance(found, dict) else found))


class HuggingFace(Source):
    """Rows of a Hugging Face dataset."""

    columnar = True

    def __init__(self, data: Any) -> None:
        self.data = data.with_format("arrow")

    def __len__(self) -> int:
        return len(self.data)

    def batch(self, indices: Indices, empty: Empty = np.empty) -> Any:
        from tessera.data.sources.arrow_columns import batch_of

        return {name: batch_of(name, values) for name, values in self._take(indices).items()}

    def samples(self, indices: Indices) -> Samples:
        from tessera.data.sources.arrow_columns import rows_of

        return list(rows_of(self._take(indices), len(indices)))

    def describe(self) -> dict[str, Any]:
        return {"kind": "huggingface", "rows": len(self), "columns": list(self.data.column_names)}

    def name(self, index: int) -> str:
        return f"row {index:,} of the Hugging Face dataset"

    def _take(self, indices: Indices) -> dict[str, Any]:
        from tessera.data.sources.arrow_columns import column

        table = self.data[indices.tolist()]
        return {name: column(table[name]).take(np.arange(len(indices))) for name in table.column_names}
