"""The rows as one text table."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

from benchmarks.row import Part, Row

_HEAD = Row("", "peer", "Tessera", "peer", "ratio", "target", None)
_LEGEND = """\
Medians; ± is half the distance between the quartiles. All ways to do one work took turns in one process.
Ratio: how many times faster Tessera is where the target is a least (>=), how many times the peer's time it takes where
it is a most (<=). A row without a target is there for information."""


def table(head: Mapping[str, str], part: Part) -> str:
    """The table, headed by what ``head`` says of the machine, with the notes below."""
    widths = [max(len(cell) for cell in column) for column in zip(*map(_cells, [_HEAD, *part.rows]), strict=True)]
    label = max(map(len, head), default=0)
    lines = ["Tessera beside its peers", ""]
    lines += [f"{name:<{label}}  {value}" for name, value in head.items()]
    lines += ["", _line(_cells(_HEAD), widths)]
    for work, rows in itertools.groupby(part.rows, key=lambda row: row.work):
        lines += ["", work, *(_line(_cells(row), widths) for row in rows)]
    lines += ["", verdict(part.rows), "", _LEGEND]
    if part.notes:
        lines += ["", "Notes", *part.notes]
    return "\n".join(lines) + "\n"


def verdict(rows: Sequence[Row]) -> str:
    """How many targets are met."""
    met = sum(row.met is True for row in rows)
    missed = sum(row.met is False for row in rows)
    untold = sum(bool(row.target) and row.met is None for row in rows)
    return f"{met} targets met, {missed} missed, {untold} not measured."


def _cells(row: Row) -> tuple[str, ...]:
    if row is _HEAD:
        met = "met"
    elif row.met is None:
        met = "?" if row.target else ""
    else:
        met = "yes" if row.met else "NO"
    return row.peer, row.ours, row.theirs, row.ratio, row.target, met


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    peer, *numbers, met = cells
    name_width, *number_widths, _ = widths
    middle = "  ".join(cell.rjust(width) for cell, width in zip(numbers, number_widths, strict=True))
    return f"  {peer:<{name_width}}  {middle}  {met}".rstrip()
