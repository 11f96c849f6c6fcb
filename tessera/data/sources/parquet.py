"""Parquet files."""

from __future__ import annotations

import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tessera.data.dataset import Dataset
from tessera.data.order import InOrder, Order
from tessera.data.permutation import Indices
from tessera.data.source import Empty
from tessera.data.sources.files import Paths, files, unreadable
from tessera.data.sources.held_groups import HeldGroups
from tessera.data.sources.row_groups import RowGroups, check_alike, chosen_columns, need_pyarrow
from tessera.data.windowed_order import WindowedOrder
from tessera.errors import DataError, SettingError

if TYPE_CHECKING:
    import pyarrow as pa

_OPEN_FILES = 64


def parquet(paths: Paths, *, columns: Sequence[str] | None = None, memory_mib: float = 256) -> Dataset:
    """The rows of Parquet files; a sample is a dict, a batch a dict of tensors ``[batch, ...]``.

    Columns of numbers become tensors of their dtype, lists of numbers tensors ``[length]`` (of one length in a batch,
    unless you map, pack or collate them), anything else Python objects.

    A row can only be read with its whole row group. So a shuffle shuffles the row groups, and then the rows among as
    many of them as ``memory_mib`` holds; with memory for all, it is a full one. Every worker and every rank holds that
    much, and reads each row group once in an epoch.

    Args:
        paths: a file, a folder, a pattern, or several of them.
        columns: which to read; all by default.
        memory_mib: decoded row groups to hold, in MiB; at least one is held.

    Raises:
        EmptyDatasetError: there is no such file.
        DataError: a file cannot be read, or has other columns than the first one.
        SettingError: there is no such column, or ``memory_mib`` is not positive.
        MissingDependencyError: pyarrow is not installed.
    """
    need_pyarrow()
    import pyarrow.parquet as pq

    if not isinstance(memory_mib, (int, float)) or not memory_mib > 0:
        raise SettingError(
            f"memory_mib={memory_mib!r} was passed.",
            "It is a positive number of MiB.",
            "Write for example memory_mib=256.",
        )
    found = files(paths, (".parquet", ".pq"))
    sizes: list[list[int]] = []
    largest = 1
    first: pa.Schema | None = None
    names: list[str] = []
    for path in found:
        try:
            with pq.ParquetFile(path) as file:
                metadata, schema = file.metadata, file.schema_arrow
        except (OSError, ValueError) as error:
            raise unreadable(path, "", error) from error
        if first is None:
            first, names = schema, chosen_columns(schema.names, columns, path)
        check_alike(schema, first, path, found[0], names)
        groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
        sizes.append([group.num_rows for group in groups])
        largest = max([largest, *(_bytes(group, names) for group in groups)])
    return Dataset(Parquet(found, sizes, names, _groups_in(memory_mib, largest)))


class Parquet(RowGroups):
    """Rows of Parquet files, of which ``width`` row groups are held decoded."""

    def __init__(self, paths: list[Path], sizes: Sequence[Sequence[int]], columns: Sequence[str], width: int) -> None:
        super().__init__(paths, sizes, columns)
        self.width = max(1, min(width, len(self.sizes)))
        self._prepare()

    def order(self, key: tuple[int, ...] | None) -> Order:
        return InOrder(len(self)) if key is None else WindowedOrder(self.sizes, self.width, *key)

    def describe(self) -> dict[str, Any]:
        return {**super().describe(), "window": self.width}

    def take(self, groups: Indices, rows: Indices, empty: Empty) -> dict[str, np.ndarray | list[Any]]:
        with self._lock:
            return self._held.take(groups, rows, empty)

    def __getstate__(self) -> dict[str, Any]:
        """For a worker: everything but what has been read."""
        return {name: value for name, value in self.__dict__.items() if name not in {"_held", "_lock", "_open"}}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._prepare()

    def _prepare(self) -> None:
        self._held = HeldGroups(self, self.width, self.read_group)
        self._lock = threading.Lock()
        self._open: dict[int, pa.parquet.ParquetFile] = {}

    def read_group(self, group: int) -> pa.Table:
        """Read and decode one group.

        Raises:
            DataError: that is not possible; it names the file and the rows.
        """
        import pyarrow.parquet as pq

        file, number = self.places[group]
        try:
            if file not in self._open:
                if len(self._open) == _OPEN_FILES:
                    self._open.clear()
                self._open[file] = pq.ParquetFile(self.paths[file], memory_map=True)
            table = self._open[file].read_row_group(number, columns=self.columns)
        except (OSError, ValueError) as error:  # Arrow's own errors are ValueErrors and OSErrors
            raise unreadable(self.paths[file], self.rows_of_group(group), error) from error
        if table.num_rows != self.sizes[group]:
            raise DataError(
                f"{self.paths[file]}{self.rows_of_group(group)} now has {table.num_rows:,} rows.",
                "Files stay as they are while they are read.",
                "Make the dataset anew.",
            )
        return table


def _groups_in(memory_mib: float, largest: int) -> int:
    return max(1, int(min(memory_mib * 2**20 / largest, sys.maxsize)))


def _bytes(group: pa.parquet.RowGroupMetaData, names: Sequence[str]) -> int:
    """Of the columns ``names``, decoded; a nested one has several, whose paths begin with its name and a dot."""
    columns = [group.column(number) for number in range(group.num_columns)]
    beginnings = tuple(f"{name}." for name in names)
    return sum(one.total_uncompressed_size for one in columns if f"{one.path_in_schema}.".startswith(beginnings))
