"""How fast a training goes, between two looks of a callback at it."""

from __future__ import annotations

from dataclasses import dataclass

from tessera.train.run import Run


@dataclass(frozen=True)
class Lap:
    """What was done in ``seconds`` of training; validation and callbacks are not in it."""

    steps: int
    samples: int
    seconds: float

    @property
    def samples_per_second(self) -> float:
        """Samples trained on in a second."""
        return self.samples / self.seconds


class Stopwatch:
    """Measures laps. It starts at the first look after a step, so that compiling is in none of them."""

    def __init__(self) -> None:
        self._from: tuple[int, int, float] | None = None

    def lap(self, run: Run) -> Lap | None:
        """The lap since the last look, and a new one begins; None where nothing was trained or measured since."""
        before, self._from = self._from, (run.step, run.samples, run.seconds) if run.batch is not None else None
        if before is None or run.step <= before[0] or run.seconds <= before[2]:
            return None
        step, samples, seconds = before
        return Lap(run.step - step, run.samples - samples, run.seconds - seconds)
