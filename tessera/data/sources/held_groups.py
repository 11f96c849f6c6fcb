"""The decoded groups of rows that are held in memory, and rows taken from them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from tessera.data.permutation import Indices
from tessera.data.source import Empty
from tessera.data.sources.row_groups import RowGroups
from tessera.errors import TesseraError

if TYPE_CHECKING:
    import pyarrow as pa

    from tessera.data.sources.arrow_columns import Column

Taken = dict[str, np.ndarray | list[Any]]


class HeldGroups:
    """``width`` groups in as many places; a new one takes the place that was used least lately.

    Columns of numbers lie in one array for all places, so that rows from anywhere are taken in one call.

    Args:
        source: whose groups they are.
        read: reads and decodes a group.
    """

    def __init__(self, source: RowGroups, width: int, read: Callable[[int], pa.Table]) -> None:
        self._source, self._read, self._width = source, read, width
        self._rows = int(source.sizes.max(initial=0))
        self._place_of = np.full(len(source.sizes), -1)
        self._group_in = np.full(width, -1)
        self._used = np.zeros(width, np.int64)
        self._now = 0
        self._numbers: dict[str, np.ndarray] = {}
        self._nulls: dict[str, np.ndarray] = {}
        self._others: list[dict[str, Column]] = [{} for _ in range(width)]
        self._failed: dict[int, TesseraError] = {}

    def take(self, groups: Indices, rows: Indices, empty: Empty) -> Taken:
        """The columns at ``rows`` of ``groups``, both int64 ``[k]``, reading what is not held; arrays from ``empty``.

        Raises:
            DataError: a group cannot be read, or a number is null.
        """
        places = self._place_of[groups]
        if (places < 0).any():
            needed = np.unique(groups)
            if len(needed) > self._width:
                return self._in_parts(groups, rows, needed)
            self._load(needed)
            places = self._place_of[groups]
        self._now += 1
        self._used[places] = self._now
        return {name: self._column(name, places, groups, rows, empty) for name in self._source.columns}

    def _column(
        self, name: str, places: Indices, groups: Indices, rows: Indices, empty: Empty
    ) -> np.ndarray | list[Any]:
        if name in self._numbers:
            found = places * self._rows + rows
            if name in self._nulls:
                self._source.check_nulls(self._nulls[name][found], groups, rows, name)
            numbers = self._numbers[name]
            # Rows are known to be in range, and only so does NumPy write to its place without a buffer in between.
            return np.take(numbers, found, 0, out=empty((len(rows), *numbers.shape[1:]), numbers.dtype), mode="clip")
        values: list[Any] = [None] * len(rows)
        for place in np.unique(places):
            column, mine = self._others[place][name], np.flatnonzero(places == place)
            if column.nulls is not None:
                self._source.check_nulls(column.nulls[rows[mine]], groups[mine], rows[mine], name)
            for at, value in zip(mine.tolist(), column.take(rows[mine]), strict=True):
                values[at] = value
        return values

    def _in_parts(self, groups: Indices, rows: Indices, needed: Indices) -> Taken:
        """The same where fewer groups can be held than are needed."""
        parts, places = [], []
        for first in range(0, len(needed), self._width):
            mine = np.flatnonzero(np.isin(groups, needed[first : first + self._width]))
            parts.append(self.take(groups[mine], rows[mine], np.empty))
            places.append(mine)
        back = np.argsort(np.concatenate(places))
        return {name: _joined([part[name] for part in parts], back) for name in self._source.columns}

    def _load(self, needed: Indices) -> None:
        self._now += 1
        present = self._place_of[needed]
        self._used[present[present >= 0]] = self._now
        for group in needed[present < 0].tolist():
            if group in self._failed:
                raise self._failed[group]
            try:
                table = self._read(group)
            except TesseraError as error:
                self._failed[group] = error
                raise
            place = int(self._used.argmin())
            if self._group_in[place] >= 0:
                self._place_of[self._group_in[place]] = -1
            self._group_in[place] = -1  # until all of the new one is there
            self._put(table, place)
            self._group_in[place], self._place_of[group], self._used[place] = group, place, self._now

    def _put(self, table: pa.Table, place: int) -> None:
        from tessera.data.sources.arrow_columns import Values, column

        first = place * self._rows
        for name in self._source.columns:
            found = column(table[name])
            if not isinstance(found, Values):
                self._others[place][name] = found
                continue
            values, last = found.values, first + len(found.values)
            if name not in self._numbers:
                self._numbers[name] = np.empty((self._width * self._rows, *values.shape[1:]), values.dtype)
            self._numbers[name][first:last] = values
            if found.nulls is not None and name not in self._nulls:
                self._nulls[name] = np.zeros(self._width * self._rows, bool)
            if name in self._nulls:
                self._nulls[name][first:last] = False if found.nulls is None else found.nulls


def _joined(parts: list[np.ndarray | list[Any]], back: Indices) -> np.ndarray | list[Any]:
    if all(isinstance(part, np.ndarray) for part in parts):
        return np.concatenate(parts)[back]
    values = [value for part in parts for value in part]
    return [values[at] for at in back]
