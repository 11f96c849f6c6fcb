"""Two profiles beside each other, line by line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tessera.profile.line_costs import LineCost


@dataclass(frozen=True)
class Difference:
    """One line in both: milliseconds of a call; 0 where a profile does not have it."""

    place: str
    code: str
    before: float
    after: float


@dataclass(frozen=True)
class Comparison:
    """What changed from one profile to another.

    Attributes:
        before, after: milliseconds of a call.
        lines: those of both, the largest change first. A line is known by its file and text, so that it is found again
            where others were added above it.
    """

    before: float
    after: float
    lines: list[Difference]

    def __str__(self) -> str:
        ratio = f", {self.after / self.before:.2f} of the time" if self.before > 0 else ""
        rows = [f"{self.before:.4g} ms -> {self.after:.4g} ms{ratio}", "    before     after    change  line"]
        rows += [
            f"{one.before:10.3f}{one.after:10.3f}{one.after - one.before:+10.3f}  {one.place}  {one.code}".rstrip()
            for one in self.lines
        ]
        return "\n".join(rows)


def compare(before: tuple[float, Sequence[LineCost]], after: tuple[float, Sequence[LineCost]]) -> Comparison:
    """Two lists of lines, each with the milliseconds of the whole call."""
    old, new = _by_text(before[1]), _by_text(after[1])
    found = []
    for key in dict.fromkeys([*new, *old]):
        line = (new.get(key) or old[key])[0]
        code = line.where.code if line.where else ""
        times = [sum(one.milliseconds for one in side.get(key, ())) for side in (old, new)]
        found.append(Difference(line.place, code, *times))
    found.sort(key=lambda one: -abs(one.after - one.before))
    return Comparison(before[0], after[0], found)


def _by_text(lines: Sequence[LineCost]) -> dict[tuple[str, str], list[LineCost]]:
    found: dict[tuple[str, str], list[LineCost]] = {}
    for line in lines:
        key = (line.where.file, line.where.code or str(line.where.line)) if line.where else ("", line.place)
        found.setdefault(key, []).append(line)
    return found
