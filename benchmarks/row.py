"""A row of the table: Tessera's figure, a peer's, their ratio, and whether the target is met."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from benchmarks.measure import Absent, Outcome, Timing

OURS = "Tessera"
SAME = 0.01  # answers further apart than this part of each other belong to different work
_FLOOR = 1e-3  # below it, answers count as equal: a loss that has gone to zero


@dataclass(frozen=True)
class Row:
    """As text, but for ``met``: whether the target is met, None without a target or when it could not be told."""

    work: str
    peer: str
    ours: str
    theirs: str = ""
    ratio: str = ""
    target: str = ""
    met: bool | None = None


@dataclass
class Part:
    """What one file of benchmarks found: rows, and lines to stand below the table."""

    rows: list[Row] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def __add__(self, other: Part) -> Part:
        return Part(self.rows + other.rows, self.notes + other.notes)


def faster(work: str, outcomes: Mapping[str, Outcome], least: Mapping[str, float], *, same: float = SAME) -> Part:
    """One row a peer, and what all of them returned and how long they took to begin as a note.

    Args:
        outcomes: Tessera's is under ``OURS``.
        least: peer -> how many times faster Tessera is to be; a peer without an entry is there for information.
        same: how far apart the answers may be, as a part of them.
    """
    ours = outcomes[OURS]
    peers = {name: outcome for name, outcome in outcomes.items() if name != OURS}
    rows = [compared(work, name, ours, theirs, least=least.get(name), same=same) for name, theirs in peers.items()]
    return Part(rows, [_note(work, outcomes)])


def compared(
    work: str,
    peer: str,
    ours: Outcome,
    theirs: Outcome,
    *,
    least: float | None = None,
    most: float | None = None,
    same: float = SAME,
) -> Row:
    """The ratio of two medians.

    Args:
        least: how many times faster Tessera is to be: peer's median / Tessera's. Also the ratio without a target.
        most: how many times the peer's time Tessera may take: Tessera's median / the peer's.
    """
    target = f"<= {most:g}x" if most is not None else f">= {least:g}x" if least is not None else ""
    row = Row(work, peer, figure(ours), figure(theirs), target=target)
    if isinstance(ours, Absent):
        return replace(row, met=False if target else None)
    if isinstance(theirs, Absent):
        return row
    if not same_answer(ours, theirs, same):
        return replace(row, ratio="ANOTHER ANSWER", met=False if target else None)
    if most is not None:
        ratio = ours.median / theirs.median
        return replace(row, ratio=f"{ratio:.2f}x", met=ratio <= most)
    ratio = theirs.median / ours.median
    return replace(row, ratio=f"{ratio:.2f}x", met=None if least is None else ratio >= least)


def limited(work: str, peer: str, found: float, at_most: float, unit: str = "") -> Row:
    """A number that is to stay below a limit; ``peer`` is what it was held against, if anything."""
    return Row(work, peer, f"{found:.3g} {unit}".strip(), target=f"<= {at_most:g}", met=found <= at_most)


def same_answer(ours: Timing, theirs: Timing, same: float = SAME) -> bool:
    """Whether both computed the same thing, by what their first repetitions returned."""
    return math.isclose(ours.answer, theirs.answer, rel_tol=same, abs_tol=_FLOOR)


def figure(outcome: Outcome) -> str:
    """The median with its unit and spread, or why there is none."""
    if isinstance(outcome, Absent):
        return outcome.reason
    return f"{seconds(outcome.median)} ±{outcome.spread:3.0%}"


def seconds(value: float) -> str:
    """Three digits and a unit."""
    scale, unit = next(((s, u) for s, u in ((1.0, "s"), (1e-3, "ms")) if value >= s), (1e-6, "us"))
    return f"{value / scale:.3g} {unit}"


def _note(work: str, outcomes: Mapping[str, Outcome]) -> str:
    timings = {name: outcome for name, outcome in outcomes.items() if isinstance(outcome, Timing)}
    answers = ", ".join(f"{name} {timing.answer:.6g}" for name, timing in timings.items())
    ready = ", ".join(f"{name} {timing.ready_s:.1f}" for name, timing in timings.items())
    return f"{work}\n  first repetition, loss: {answers}\n  first repetition, seconds with all before it: {ready}"
