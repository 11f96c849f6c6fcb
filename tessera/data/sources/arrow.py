"""Arrow files, which are mapped into memory and need no decoding."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tessera.data.dataset import Dataset
from tessera.data.permutation import Indices
from tessera.data.source import Empty
from tessera.data.sources.files import Paths, files, unreadable
from tessera.data.sources.row_groups import RowGroups, check_alike, chosen_columns, need_pyarrow

if TYPE_CHECKING:
    import pyarrow as pa


def arrow(paths: Paths, *, columns: Sequence[str] | None = None) -> Dataset:
    """The rows of Arrow (Feather version 2) files, in the file format or the stream format; samples as of ``parquet``.

    They are mapped, not read: a shuffle is a full one whatever their size. Uncompressed files need no memory at all.

    Raises:
        EmptyDatasetError, DataError, SettingError, MissingDependencyError: as ``parquet``.
    """
    need_pyarrow()
    found = files(paths, (".arrow", ".feather", ".ipc"))
    tables = [_mapped(path) for path in found]
    names = chosen_columns(tables[0].schema.names, columns, found[0])
    for path, table in zip(found, tables, strict=True):
        check_alike(table.schema, tables[0].schema, path, found[0], names)
    sizes = [[batch.num_rows for batch in table.to_batches()] for table in tables]
    return Dataset(Arrow(found, sizes, names))


class Arrow(RowGroups):
    """Rows of Arrow files; a group is a record batch, and its columns are views of the file."""

    def __init__(self, paths: list[Path], sizes: Sequence[Sequence[int]], columns: Sequence[str]) -> None:
        super().__init__(paths, sizes, columns)
        self._prepare()

    def take(self, groups: Indices, rows: Indices, empty: Empty) -> dict[str, np.ndarray | list[Any]]:
        from tessera.data.sources.arrow_columns import scattered

        order = np.argsort(groups, kind="stable")
        numbers, firsts = np.unique(groups[order], return_index=True)
        places = np.split(order, firsts[1:])
        parts: list[dict[str, np.ndarray | list[Any]]] = []
        for number, mine in zip(numbers.tolist(), places, strict=True):
            columns = self._group(number)
            for name, column in columns.items():
                if column.nulls is not None:
                    self.check_nulls(column.nulls[rows[mine]], groups[mine], rows[mine], name)
            parts.append({name: column.take(rows[mine]) for name, column in columns.items()})
        return {name: scattered([part[name] for part in parts], places, len(rows)) for name in self.columns}

    def __getstate__(self) -> dict[str, Any]:
        """For a worker: it maps the files itself."""
        return {name: value for name, value in self.__dict__.items() if name not in {"_batches", "_views"}}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._prepare()

    def _prepare(self) -> None:
        tables = [_mapped(path).select(self.columns) for path in self.paths]
        self._batches = [batch for table in tables for batch in table.to_batches() if batch.num_rows]
        self._views: dict[int, dict[str, Any]] = {}

    def _group(self, number: int) -> dict[str, Any]:
        from tessera.data.sources.arrow_columns import column

        if number not in self._views:
            batch = self._batches[number]
            self._views[number] = {name: column(batch[name]) for name in self.columns}
        return self._views[number]


def _mapped(path: Path) -> pa.Table:
    import pyarrow as pa

    try:
        memory = pa.memory_map(str(path))
        try:
            return pa.ipc.open_file(memory).read_all()
        except pa.ArrowInvalid:
            memory.seek(0)
            return pa.ipc.open_stream(memory).read_all()
    except (OSError, ValueError) as error:
        raise unreadable(path, "", error) from error
