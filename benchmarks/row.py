"""A row of the table: Tessera's figure, a peer's, their ratio, and whether the target is met."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from benchmarks.measure import Absent, Outcome, Timing

OURS = "Tessera"
_SAME = 0.01  # answers further apart than this part of each other belong to different work
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


def faster(work: str, outcomes: Mapping[str, Outcome], at_least: Mapping[str, float]) -> Part:
    """One row a peer: how many times faster Tessera is (peer's median / Tessera's median).

    Args:
        outcomes: Tessera's is under ``OURS``.
        at_least: peer -> the ratio to reach; a peer without an entry is there for information.
    """
    ours = outcomes[OURS]
    rows = [_faster(work, name, ours, theirs, at_least.get(name)) for name, theirs in outcomes.items() if name != OURS]
    return Part(rows, [_note(work, outcomes)])


def _faster(work: str, peer: str, ours: Outcome, theirs: Outcome, least: float | None) -> Row:
    target = "" if least is None else f">= {least:g}x"
    figures = figure(ours), figure(theirs)
    if isinstance(ours, Absent):
        return Row(work, peer, *figures, "", target, None if least is None else False)
    if isinstance(theirs, Absent):
        return Row(work, peer, *figures, "", target)
    ratio = theirs.median / ours.median
    met = None if least is None else ratio >= least
    if not same_answer(ours, theirs):
        return Row(work, peer, *figures, f"{ratio:.2f}x, ANOTHER LOSS", target, None if least is None else False)
    return Row(work, peer, *figures, f"{ratio:.2f}x", target, met)


def dearer(work: str, peer: str, ours: Outcome, theirs: Outcome, at_most: float) -> Row:
    """How many times the peer's median Tessera takes."""
    target = f"<= {at_most:g}x"
    if isinstance(ours, Absent) or isinstance(theirs, Absent):
        return Row(work, peer, figure(ours), figure(theirs), "", target, False)
    ratio = ours.median / theirs.median
    return Row(work, peer, figure(ours), figure(theirs), f"{ratio:.2f}x", target, ratio <= at_most)


def limited(work: str, peer: str, found: float, at_most: float, unit: str = "") -> Row:
    """A number that is to stay below a limit; ``peer`` is what it was held against, if anything."""
    return Row(work, peer, f"{found:.3g} {unit}".strip(), target=f"<= {at_most:g}", met=found <= at_most)


def same_answer(ours: Timing, theirs: Timing) -> bool:
    """Whether both computed the same thing, by what their first repetitions returned."""
    return math.isclose(ours.answer, theirs.answer, rel_tol=_SAME, abs_tol=_FLOOR)


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
    ready = ", ".join(f"{name} {timing.ready_s:.1f} s" for name, timing in timings.items())
    return f"{work}\n  after the first repetition: {answers}\n  first repetition, compilation included: {ready}"
