"""The Report: what was done to a job, where and why, as text for people and JSON for programs."""

from __future__ import annotations

import json
import logging
from dataclasses import asdict, dataclass, field
from pathlib import Path

from tessera.errors import SettingError, SourceLine
from tessera.program.buffer_life import BufferLife, live_bytes
from tessera.program.call_record import CallRecord
from tessera.program.last_report import keep

logger = logging.getLogger("tessera")

_SHOWN = 8  # calls that the text form names


@dataclass
class PassRecord:
    """One pass over one Program. Times in seconds, sizes in operations."""

    name: str
    promise: str
    matches: int
    seconds: float
    operations_before: int
    operations_after: int
    note: str = ""

    def __str__(self) -> str:
        found = f"{self.matches} matches" if self.matches != 1 else "1 match"
        effect = f"{found}, {self.operations_before} -> {self.operations_after} operations"
        return f"{self.name} [{self.promise}]: {effect}, {self.seconds:.3f} s" + (
            f" ({self.note})" if self.note else ""
        )


@dataclass
class Compilation:
    """One Program on its way through the pipeline and Inductor. Times in seconds.

    Attributes:
        operations: what is left of the graph behind the last pass.
        kernels, external_calls: what became of it.
        calls: those in the compiled code, in order.
        memory: what it allocates.
        milliseconds: measured by a profile, one call; None before.
        share_of_peak: FLOPs of its products a second, over the device's measured ``peak`` (in words).
        origin: the file that it was loaded from, if it was.
        predicted_peak: bytes that it allocates at its peak, where there is a memory budget.
        measured_peak: bytes that the process, or the GPU, really held more in a run; None before the second one.
    """

    program: str
    passes: list[PassRecord] = field(default_factory=list)
    operations: int = 0
    kernels: int = 0
    external_calls: int = 0
    capture_seconds: float = 0.0
    pipeline_seconds: float = 0.0
    inductor_seconds: float = 0.0
    notes: list[str] = field(default_factory=list)
    calls: list[CallRecord] = field(default_factory=list)
    memory: list[BufferLife] = field(default_factory=list)
    milliseconds: float | None = None
    share_of_peak: float | None = None
    peak: str = ""
    origin: str = ""
    predicted_peak: int | None = None
    measured_peak: int | None = None

    @property
    def peak_bytes(self) -> int:
        """The most memory that it holds at a time, besides what it was given."""
        return max(live_bytes(self.memory, len(self.calls)), default=0)

    def summary(self) -> list[str]:
        """What was compiled, what it became, and what was measured of it."""
        if self.origin:
            return [f"loaded {self.program} from {self.origin}", "  Nothing was traced or compiled", *self._peaks()]
        total = self.capture_seconds + self.pipeline_seconds + self.inductor_seconds
        head = (
            f"compiled {self.program} in {total:.2f} s"
            f" (capture {self.capture_seconds:.2f}, passes {self.pipeline_seconds:.2f},"
            f" Inductor {self.inductor_seconds:.2f})"
        )
        parts = [_counted(self.kernels, "kernel"), _counted(self.external_calls, "library call")]
        made = " and ".join(part for part in parts if part[0] != "0") or "no kernel"
        lines = [head, f"  Fused {_counted(self.operations, 'operation')} into {made}"]
        if self.peak_bytes:
            lines.append(f"  Holds {self.peak_bytes / 2**20:.4g} MiB at most besides what it is given")
        lines += self._peaks()
        if self.milliseconds is not None:
            lines.append(f"  Takes {self.milliseconds:.4g} ms, measured")
        if self.share_of_peak is not None:
            lines.append(f"  Achieved {self.share_of_peak:.0%} of peak FLOPS: {self.peak}")
        return lines

    def _peaks(self) -> list[str]:
        """Of what is allocated, with a memory budget."""
        if self.predicted_peak is None:
            return []
        seen = "" if self.measured_peak is None else f", {self.measured_peak / 2**20:.4g} MiB measured"
        return [f"  Allocates {self.predicted_peak / 2**20:.4g} MiB at its peak, predicted{seen}"]

    def lines(self) -> list[str]:
        passes = [f"  pass {record}" for record in self.passes]
        return [*self.summary(), *passes, *(f"  {n}" for n in self.notes), *self._largest_calls()]

    def _largest_calls(self) -> list[str]:
        """The most costly calls: by time where that was measured, else by the bytes they move."""
        measured = self.milliseconds is not None
        order = sorted(self.calls, key=lambda c: -(c.milliseconds or 0.0) if measured else -c.num_bytes)
        shown = [f"  {call}" for call in order[:_SHOWN]]
        more = f" of {len(order)}, the others in to_json() and save('report.html')" if len(order) > _SHOWN else ""
        return [f"  the most costly calls{more}:", *(f"  {line}" for line in shown)] if shown else []


@dataclass
class StepDown:
    """Why a job, or a piece of it, could not be captured whole: the line that caused it and what to write instead."""

    rung: str
    reason: str
    instead: str = ""
    where: SourceLine | None = None

    def __str__(self) -> str:
        place = f"\n    at {self.where}" if self.where else ""
        return f"stepped down to {self.rung}: {self.reason}{place}" + (f"\n    {self.instead}" if self.instead else "")


@dataclass
class Mismatch:
    """Compiled and plain results that disagree: the first node that does, and who made it so.

    Attributes:
        subject: the Program or function.
        node: the operator, such as ``aten.mul.Tensor``.
        said: how far they are apart, and what is to blame.
        where: the user's line.
    """

    subject: str
    node: str
    said: str
    where: SourceLine | None = None

    def __str__(self) -> str:
        place = f"\n    at {self.where}" if self.where else ""
        return f"compiled and plain results of {self.subject} disagree: {self.said}{place}"


@dataclass
class Report:
    """What Tessera did with one callable or training step. ``print(report)`` for people, ``to_json()`` for programs."""

    subject: str
    rung: str = "not run yet"
    compilations: list[Compilation] = field(default_factory=list)
    step_downs: list[StepDown] = field(default_factory=list)
    mismatches: list[Mismatch] = field(default_factory=list)

    def add(self, entry: Compilation | StepDown | Mismatch) -> None:
        """Keep an entry and log its first line at INFO, or at WARNING; ``tessera report`` shows it later."""
        if isinstance(entry, StepDown):
            if entry in self.step_downs:
                return
            self.step_downs.append(entry)
            logger.warning("%s: %s", self.subject, entry)
        elif isinstance(entry, Mismatch):
            self.mismatches.append(entry)
            logger.warning("%s: %s", self.subject, entry)
        else:
            self.compilations.append(entry)
            for line in entry.lines()[:2]:
                logger.info("%s", line.strip())
        keep(self)

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=2)

    def save(self, path: str | Path) -> None:
        """Write the Report: as a page (``.html``), as JSON (``.json``) or as text (any other ending).

        Raises:
            SettingError: the file cannot be written.
        """
        from tessera.program.page.page import page

        forms = {".html": lambda: page(self, ""), ".json": self.to_json}
        try:
            Path(path).write_text(forms.get(Path(path).suffix.lower(), self.__str__)(), encoding="utf-8")
        except OSError as error:
            raise SettingError(
                f"{path} cannot be written: {error.strerror}.",
                "A Report is a file in a folder that is there.",
                "Write for example report.save('report.html').",
            ) from error

    def __str__(self) -> str:
        lines = [f"{self.subject}: {self.rung}"]
        for compilation in self.compilations:
            lines += [f"  {line}" for line in compilation.lines()]
        lines += [f"  {entry}" for entry in (*self.step_downs, *self.mismatches)]
        return "\n".join(lines)


def _counted(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
