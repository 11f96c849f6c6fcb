"""A CSV file with one row for a step, that outlives the process that writes it."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from tessera.errors import SettingError

_KEY = "step"
Row = dict[str, str]


class StepTable:
    """Rows in the order of their steps. The last row may still get cells; those before it are settled.

    A new column widens the rows that are there already.

    Attributes:
        path: of the file.
        last_step: of the last row; 0 while there is none.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.last_step = path, 0
        self._columns: list[str] = []
        self._settled = 0  # bytes of the file before the pending rows
        self._pending: list[Row] = []  # the last row, and any before it that could not be written yet

    def open(self, step: int) -> None:
        """Keep the rows up to ``step`` and remove those after it, and a last one that was cut off.

        Raises:
            SettingError: the file is not such a table; it was left as it is.
            OSError: it cannot be read or written.
        """
        text = self.path.read_text(encoding="utf-8", errors="replace") if self.path.exists() else ""
        columns, rows = _parsed(text)
        if text and columns[:1] != [_KEY]:
            raise SettingError(
                f"{str(self.path)!r} is there already, and begins with {text[:20]!r}.",
                f"The log of a training begins with the column {_KEY!r}, and a new training writes over it.",
                "Pass another path, or move that file away.",
            )
        kept = [row for row in rows if row[_KEY].isdecimal() and int(row[_KEY]) <= step]
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._rewrite(columns if kept else [_KEY], kept)
        self.last_step = int(kept[-1][_KEY]) if kept else 0

    def put(self, step: int, cells: Mapping[str, str]) -> None:
        """Add cells to the row of ``step``, which is the last one or a new one.

        Raises:
            OSError: they could not be written; the next call tries again.
        """
        if step != self.last_step:
            self._pending.append({_KEY: str(step)})
            self.last_step = step
        self._pending[-1].update(cells)
        columns = list(dict.fromkeys([*self._columns, *(name for row in self._pending for name in row)]))
        if columns == self._columns:
            self._write_pending()
        else:
            settled = self.path.read_bytes()[: self._settled].decode()
            self._rewrite(columns, [*_parsed(settled)[1], *self._pending])

    def _write_pending(self) -> None:
        *settled, last = (_text(self._columns, [row]) for row in self._pending)
        with self.path.open("r+b") as file:
            file.seek(self._settled)
            file.write(b"".join([*settled, last]))
            file.truncate()
        self._settled += sum(map(len, settled))
        self._pending = self._pending[-1:]

    def _rewrite(self, columns: Sequence[str], rows: Sequence[Row]) -> None:
        head = _text(columns, [dict(zip(columns, columns, strict=True)), *rows[:-1]])
        new = self.path.with_name(f"{self.path.name}.new")
        new.write_bytes(head + _text(columns, rows[-1:]))
        new.replace(self.path)
        self._columns, self._settled, self._pending = list(columns), len(head), list(rows[-1:])


def _parsed(text: str) -> tuple[list[str], list[Row]]:
    """Columns and rows of a file; a line without its end, or with too few or too many cells, was cut off."""
    whole = text[: text.rfind("\n") + 1]
    columns, *rows = list(csv.reader(io.StringIO(whole))) or [[]]
    return columns, [dict(zip(columns, row, strict=True)) for row in rows if len(row) == len(columns)]


def _text(columns: Sequence[str], rows: Iterable[Row]) -> bytes:
    lines = io.StringIO()
    csv.DictWriter(lines, columns, restval="", lineterminator="\n").writerows(rows)
    return lines.getvalue().encode()
