"""One operation that ran, and the bounded list of those that did."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from tessera.debug.place import Place
from tessera.debug.ranges import Range


@dataclass(slots=True)
class Operation:
    """What is kept of one: no tensor.

    Attributes:
        number: counted from 1, in the order in which they ran.
        name: of the operator, such as ``aten.log``.
        place: of a backward, where its forward stood.
        phase: "forward", "backward" or "update".
        parents: numbers of the operations that made its inputs.
        results: of every tensor that it made; of views nothing is read.
        seconds: that it took.
    """

    number: int
    name: str
    place: Place
    phase: str
    parents: tuple[int, ...]
    results: tuple[Range, ...]
    seconds: float

    @property
    def title(self) -> str:
        """Such as ``aten.log in the backward of blocks.0``."""
        phase = "" if self.phase == "forward" else f" in the {self.phase}"
        return f"{self.name}{phase}"


class Trace:
    """The last operations that ran, the oldest first; ``print`` it as a table.

    Args:
        most: that are kept. Each takes some hundred bytes.
    """

    def __init__(self, most: int) -> None:
        self._kept: deque[Operation] = deque(maxlen=most)
        self.count = 0

    def add(self, operation: Operation) -> None:
        self._kept.append(operation)

    def next_number(self) -> int:
        self.count += 1
        return self.count

    def find(self, number: int) -> Operation | None:
        """The operation of this number, if it is still kept."""
        if not self._kept:
            return None
        first = self._kept[0].number
        at = number - first
        if 0 <= at < len(self._kept) and self._kept[at].number == number:
            return self._kept[at]
        return next((each for each in self._kept if each.number == number), None)

    def __len__(self) -> int:
        return len(self._kept)

    def __iter__(self) -> Iterator[Operation]:
        return iter(self._kept)

    def __getitem__(self, index: int) -> Operation:
        return self._kept[index]

    def __str__(self) -> str:
        rows = [_HEAD, *(_row(operation) for operation in self._kept)]
        widths = [max(len(row[column]) for row in rows) for column in range(len(_HEAD))]
        lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
        left_out = self.count - len(self._kept)
        return "\n".join([*lines, f"{left_out:,} operations before these are no longer kept"] if left_out else lines)


_HEAD = ("#", "operation", "result", "range", "layer", "ms", "line")


def _row(operation: Operation) -> tuple[str, ...]:
    first = operation.results[0] if operation.results else None
    where = operation.place.where
    return (
        str(operation.number),
        operation.title,
        first.kind if first else "",
        first.span if first else "",
        operation.place.layer,
        f"{operation.seconds * 1e3:.3f}",
        f"{where.file.rpartition('/')[2]}:{where.line}  {operation.place.expression}" if where else "",
    )
