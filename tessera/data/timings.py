"""What the stages of a pipeline cost."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter


class Timings:
    """Seconds and samples by stage, in the order in which stages first came."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.samples: dict[str, int] = {}

    def add(self, stage: str, seconds: float, samples: int) -> None:
        """Note that ``samples`` samples took ``seconds`` in ``stage``."""
        self.seconds[stage] = self.seconds.get(stage, 0.0) + seconds
        self.samples[stage] = self.samples.get(stage, 0) + samples

    def merge(self, other: Timings) -> None:
        """Add all of ``other``."""
        for stage, seconds in other.seconds.items():
            self.add(stage, seconds, other.samples[stage])

    @contextmanager
    def timed(self, stage: str, samples: int) -> Iterator[None]:
        """Note how long the block takes."""
        started = perf_counter()
        try:
            yield
        finally:
            self.add(stage, perf_counter() - started, samples)
