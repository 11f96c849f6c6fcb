"""Tables in files whose rows come in groups: row groups, record batches."""

from __future__ import annotations

import importlib
from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tessera.data.permutation import Indices
from tessera.data.source import Empty, Samples, Source
from tessera.data.sources.files import described, missing, null
from tessera.errors import DataError, SettingError


class RowGroups(Source):
    """Rows of tables; a sample is a dict of columns. A subclass says how rows are taken.

    Args:
        paths: the files.
        sizes: rows of each group of each file.
        columns: which ones.
    """

    columnar = True

    def __init__(self, paths: list[Path], sizes: Sequence[Sequence[int]], columns: Sequence[str]) -> None:
        self.paths, self.columns = paths, list(columns)
        # Groups without rows hold no sample; empty files are written by real writers.
        self.places = [(file, group) for file, of in enumerate(sizes) for group, size in enumerate(of) if size]
        self.sizes = np.array([size for of in sizes for size in of if size], np.int64)
        self.starts = np.concatenate([[0], np.cumsum(self.sizes)])
        self._file_starts = np.cumsum([0, *(sum(of) for of in sizes)])

    @abstractmethod
    def take(self, groups: Indices, rows: Indices, empty: Empty) -> dict[str, np.ndarray | list[Any]]:
        """The chosen columns at ``rows`` of ``groups``, both int64 ``[k]``; arrays from ``empty`` where that helps."""

    def __len__(self) -> int:
        return int(self.starts[-1])

    def batch(self, indices: Indices, empty: Empty = np.empty) -> Any:
        from tessera.data.sources.arrow_columns import batch_of

        return {name: batch_of(name, values) for name, values in self._located(indices, empty).items()}

    def samples(self, indices: Indices) -> Samples:
        from tessera.data.sources.arrow_columns import rows_of

        return list(rows_of(self._located(indices, np.empty), len(indices)))

    def describe(self) -> dict[str, Any]:
        kind = type(self).__name__.lower()
        return {"kind": kind, "files": described(self.paths), "columns": self.columns, "rows": len(self)}

    def name(self, index: int) -> str:
        file = int(np.searchsorted(self._file_starts, index, side="right")) - 1
        return f"{self.paths[file]}, row {index - int(self._file_starts[file]):,}"

    def rows_of_group(self, group: int) -> str:
        """Which rows of their file a group holds, in words."""
        file, number = self.places[group]
        first = int(self.starts[group] - self._file_starts[file])
        return f", rows {first:,} to {first + int(self.sizes[group]) - 1:,} (group {number}),"

    def check_nulls(self, nulls: np.ndarray, groups: Indices, rows: Indices, column: str) -> None:
        """Check that none of ``nulls``, bool ``[k]``, is true.

        Raises:
            DataError: one is; it names the row.
        """
        if nulls.any():
            first = int(np.flatnonzero(nulls)[0])
            raise null(self.name(int(self.starts[groups[first]] + rows[first])), column)

    def _located(self, indices: Indices, empty: Empty) -> dict[str, np.ndarray | list[Any]]:
        groups = np.searchsorted(self.starts, indices, side="right") - 1
        return self.take(groups, indices - self.starts[groups], empty)


def chosen_columns(present: list[str], columns: Sequence[str] | None, path: Path) -> list[str]:
    """The columns to read: those asked for, or all.

    Raises:
        SettingError: one is not there, or there are several of its name.
    """
    if isinstance(columns, str):
        raise SettingError(
            f"columns={columns!r} was passed.", "It is a list of names.", f"Write columns=[{columns!r}]."
        )
    chosen = list(present if columns is None else columns)
    absent = [name for name in chosen if name not in present]
    if absent or not chosen:
        raise SettingError(
            f"Column {absent[0]!r} was asked for." if absent else "No column was asked for.",
            f"{path} has the columns {', '.join(map(repr, present))}.",
            f"Write for example columns={list(present[:2])!r}.",
        )
    twice = [name for name in chosen if present.count(name) > 1]
    if twice:
        raise SettingError(
            f"{path} has several columns with the name {twice[0]!r}.",
            "A sample is a dict, which has each name once.",
            "Rename them in the file, or leave them out with columns=[...].",
        )
    return list(dict.fromkeys(chosen))


def check_alike(schema: Any, first: Any, path: Path, first_path: Path, columns: Sequence[str]) -> None:
    """Check that a file has the columns of the first one, of the same types.

    Raises:
        DataError: it has not.
    """
    for name in columns:
        here = schema.field(name).type if name in schema.names else None
        if here != first.field(name).type:
            raise DataError(
                f"{path} has column {name!r} of type {here}." if here else f"{path} has no column {name!r}.",
                f"All files have the columns of the first one, {first_path}, where it is {first.field(name).type}.",
                "Leave the file out, or write it again with the same schema.",
            )


def need_pyarrow() -> None:
    """Check that pyarrow is installed.

    Raises:
        MissingDependencyError: it is not.
    """
    try:
        importlib.import_module("pyarrow")
    except ImportError as error:
        raise missing("pyarrow", "data") from error
