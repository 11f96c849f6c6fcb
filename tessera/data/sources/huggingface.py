"""Hugging Face datasets, from the disk or as they are in memory."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from tessera.data.dataset import Dataset
from tessera.data.permutation import Indices
from tessera.data.source import Empty, Samples, Source
from tessera.data.sources.files import missing, null, unreadable
from tessera.data.sources.numbered import Numbered
from tessera.errors import SettingError


def huggingface(found: Any, *, split: str | None = None) -> Dataset:
    """A ``datasets.Dataset``, or the folder that its ``save_to_disk`` wrote; samples as of ``parquet``.

    Its rows are mapped, so a shuffle is a full one whatever their size. Features that are objects of that library
    (images, audio) stay as they are stored; decode them with ``map``. The columns that ``with_format`` chose are the
    only ones; a transform that was set with ``set_transform`` makes the samples, one by one.

    Args:
        found: the dataset, or the path.
        split: which one, where there are several.

    Raises:
        DataError: the folder cannot be read; while iterating: a number is null.
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
    return Dataset(rows(found[split] if isinstance(found, dict) else found))


def rows(data: Any) -> Source:
    """The samples of a ``datasets.Dataset``, or what its own transform makes of them."""
    return Numbered(data, random=True) if data.format["type"] == "custom" else HuggingFace(data)


class HuggingFace(Source):
    """Rows of a Hugging Face dataset."""

    columnar = True

    def __init__(self, data: Any) -> None:
        chosen = data.format
        self.columns = list(data.column_names if chosen["output_all_columns"] else chosen["columns"])
        self.data = data.with_format("arrow", columns=self.columns)

    def __len__(self) -> int:
        return len(self.data)

    def batch(self, indices: Indices, empty: Empty = np.empty) -> Any:
        from tessera.data.sources.arrow_columns import batch_of

        return {name: batch_of(name, values) for name, values in self._take(indices).items()}

    def samples(self, indices: Indices) -> Samples:
        from tessera.data.sources.arrow_columns import rows_of

        return list(rows_of(self._take(indices), len(indices)))

    def describe(self) -> dict[str, Any]:
        return {"kind": "huggingface", "rows": len(self), "columns": self.columns}

    def name(self, index: int) -> str:
        return f"row {index:,} of the Hugging Face dataset"

    def _take(self, indices: Indices) -> dict[str, Any]:
        from tessera.data.sources.arrow_columns import column

        table = self.data[indices.tolist()]
        found = {name: column(table[name]) for name in self.columns}
        for name, one in found.items():
            if one.nulls is not None:
                raise null(self.name(int(indices[one.nulls.argmax()])), name)
        return {name: one.take(np.arange(len(indices))) for name, one in found.items()}
