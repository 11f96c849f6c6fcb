"""The costs of kernels, library calls and eager operations, shared out among the lines that they were made of."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from tessera.errors import SourceLine
from tessera.profile.device_peaks import Peaks
from tessera.profile.eager_operations import EagerOperation
from tessera.program import CallRecord


@dataclass
class LineCost:
    """What one line costs in one call of what was profiled.

    Attributes:
        where: the line; None for what no line was written for, as an optimizer's update.
        milliseconds: in all its kernels; a fused kernel is shared out by the work that each line has in it.
        num_bytes: moved at least.
        flops: arithmetic operations.
        roofline: the share of the time that the device needs at least, at its measured peaks; None where not known.
        phases: milliseconds by the phase of the job.
        calls: kernels and library calls that it went into, the most costly first.
    """

    where: SourceLine | None
    milliseconds: float = 0.0
    num_bytes: float = 0.0
    flops: float = 0.0
    roofline: float | None = None
    phases: dict[str, float] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)

    @property
    def place(self) -> str:
        """``model.py:12``, or in brackets what it is that has no line."""
        if self.where is not None:
            return f"{self.where.file.rsplit('/', 1)[-1]}:{self.where.line}"
        return f"({', '.join(phase for phase in self.phases if phase) or 'no line'})"


def line_costs(
    calls: Iterable[tuple[CallRecord, float]], eager: Iterable[tuple[EagerOperation, float]], peaks: Peaks
) -> list[LineCost]:
    """The lines by what they cost, the most costly first.

    Args:
        calls: each with its milliseconds in one call of what was profiled.
        eager: each with what its sums are to be multiplied by for one call.
        peaks: of the device.
    """
    costs = _Costs(peaks)
    for call, milliseconds in calls:
        for part in call.parts:
            costs.add(part.where, part.phase, call.name, milliseconds, call, part.share)
        if not call.parts:
            costs.add(None, "", call.name, milliseconds, call, 1.0)
    for one, scale in eager:
        whole = CallRecord(one.name, "eager", one.num_bytes, one.flops, one.dtype)
        costs.add(one.where, one.phase, one.name, 1e3 * one.seconds, whole, scale)
    return costs.sorted()


class _Costs:
    """Adds up lines; ``least`` is what their bytes and FLOPs need, in milliseconds."""

    def __init__(self, peaks: Peaks) -> None:
        self._peaks = peaks
        self._lines: dict[str, LineCost] = {}
        self._least: dict[str, float] = {}
        self._times: dict[tuple[str, str], float] = {}

    def add(
        self, where: SourceLine | None, phase: str, name: str, milliseconds: float, call: CallRecord, share: float
    ) -> None:
        key = str(where) if where else f"({phase})"
        line = self._lines.setdefault(key, LineCost(where))
        line.milliseconds += share * milliseconds
        line.num_bytes += share * call.num_bytes
        line.flops += share * call.flops
        line.phases[phase] = line.phases.get(phase, 0.0) + share * milliseconds
        least = 1e3 * self._peaks.least_seconds(call.num_bytes, call.flops, call.dtype)
        self._least[key] = self._least.get(key, 0.0) + share * least
        self._times[key, name] = self._times.get((key, name), 0.0) + share * milliseconds

    def sorted(self) -> list[LineCost]:
        for key, line in self._lines.items():
            if line.milliseconds > 0 and self._least[key] > 0:
                line.roofline = self._least[key] / line.milliseconds
            names = [name for of, name in self._times if of == key]
            line.calls = sorted(names, key=lambda name: -self._times[key, name])
        return sorted(self._lines.values(), key=lambda line: -line.milliseconds)
