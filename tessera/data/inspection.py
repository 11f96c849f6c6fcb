"""``inspect``: what every stage of a pipeline costs, and which one the device waits for."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tessera.data.loader import CONSUMER, WAIT, Loader
from tessera.data.timings import Timings
from tessera.errors import MissingDependencyError, SourceLine

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_STARVED = 0.05  # of the time: less is noise, and no reason to act
_TRIED = 16


def inspect(loader: Loader, batches: int | None = None) -> Inspection:
    """What making the batches of ``loader`` costs; print it.

    Args:
        loader: what it has done so far counts, such as a training that has just run. The step's own time is what passes
            between a batch and the next.
        batches: read so many batches first, with a step that takes no time. By default a few, of a loader that has not
            run. The next loop begins where it would have begun without them.
    """
    if batches is None and not loader.timings.seconds:
        batches = _TRIED
    if batches:
        loader.rehearse(batches)
    lines = {stage.name: stage.line for stage in loader.dataset.every_stage()}
    return Inspection(loader.timings, lines, loader.workers, loader.worker_kind, loader.makers)


@dataclass(frozen=True)
class Inspection:
    """Costs by stage; ``print`` it, or ``plot`` it.

    Attributes:
        timings: seconds and samples of every stage.
        lines: where the user's functions are.
        workers, worker_kind, makers: of the loader.
    """

    timings: Timings
    lines: dict[str, SourceLine | None]
    workers: int
    worker_kind: str
    makers: str

    @property
    def stages(self) -> dict[str, float]:
        """Seconds of every stage that makes data, in all workers together."""
        return {name: spent for name, spent in self.timings.seconds.items() if name not in (WAIT, CONSUMER)}

    @property
    def starved(self) -> float:
        """The part of the time, 0 to 1, in which the step waited for a batch."""
        waited, used = (self.timings.seconds.get(name, 0.0) for name in (WAIT, CONSUMER))
        return waited / (waited + used) if waited + used else 0.0

    @property
    def slowest(self) -> str:
        """The stage that costs the most."""
        return max(self.stages, key=self.stages.__getitem__, default="")

    def plot(self, path: str | os.PathLike[str] | None = None) -> Figure:
        """A bar for each stage, in microseconds a sample; also written to ``path``.

        Raises:
            MissingDependencyError: matplotlib is not installed.
        """
        try:
            from matplotlib.figure import Figure
        except ImportError as error:
            raise MissingDependencyError(
                "matplotlib is not installed.", "It draws the plot.", "Install it, or print what inspect() returns."
            ) from error
        names = [*self.stages, WAIT, CONSUMER]
        figure = Figure(figsize=(8, 1 + 0.4 * len(names)), layout="constrained")
        axes = figure.subplots()
        axes.barh(names, [self._each_us(name) for name in names], color=["C0"] * len(self.stages) + ["C3", "C2"])
        axes.invert_yaxis()
        axes.set_xlabel("microseconds a sample")
        axes.set_title(self._verdict())
        if path is not None:
            figure.savefig(path)
        return figure

    def __str__(self) -> str:
        made = sum(self.stages.values())
        rows = [
            (
                name,
                f"{self.timings.samples[name]:,}",
                f"{self._each_us(name):,.1f}",
                f"{spent / made:.0%}" if made else "",
            )
            for name, spent in self.stages.items()
        ]
        rows += [
            (name, f"{self.timings.samples.get(name, 0):,}", f"{self._each_us(name):,.1f}", "")
            for name in (WAIT, CONSUMER)
        ]
        head = ("stage", "samples", "us/sample", "share")
        widths = [max(len(row[place]) for row in (head, *rows)) for place in range(4)]
        table = [
            f"{row[0]:<{widths[0]}}  "
            + "  ".join(f"{cell:>{width}}" for cell, width in zip(row[1:], widths[1:], strict=True))
            for row in (head, *rows)
        ]
        return "\n".join([*(line.rstrip() for line in table), self._verdict()])

    def _each_us(self, name: str) -> float:
        return 1e6 * self.timings.seconds.get(name, 0.0) / max(1, self.timings.samples.get(name, 0))

    def _verdict(self) -> str:
        waits = f"The step waits for data {self.starved:.0%} of the time with {self.makers}"
        if self.starved < _STARVED:
            return f"{waits}: data is not what limits it."
        line = self.lines.get(self.slowest)
        place = f" ({line})" if line else ""
        return f"{waits}; {self.slowest}{place} costs the most."
