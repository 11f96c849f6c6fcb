"""How much to measure, on what device, and where to say how far it is."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import torch

_QUICK_ROUNDS = 3
_CPU = torch.device("cpu")


def silent(line: str) -> None:
    """Says nothing."""


@dataclass(frozen=True)
class Plan:
    """What all measurements of one run share.

    Attributes:
        device: where Tessera and its peers run.
        quick: a few repetitions only, less work in each where it is long.
        say: takes progress lines.
        limit_s: seconds after which nothing new is begun.
        started: when the run began, by ``time.perf_counter``.
    """

    device: torch.device = _CPU
    quick: bool = False
    say: Callable[[str], None] = silent
    limit_s: float = math.inf
    started: float = field(default_factory=time.perf_counter)

    def rounds(self, full: int) -> int:
        """Repetitions that count, where a full run has ``full``."""
        return min(full, _QUICK_ROUNDS) if self.quick else full

    @property
    def left_s(self) -> float:
        """Seconds until the limit."""
        return self.limit_s - (time.perf_counter() - self.started)

    def wait(self) -> None:
        """Wait until the device has done all that was asked of it."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)


def on_stderr() -> Callable[[str], None]:
    """A ``say`` that writes lines with the seconds since now."""
    started = time.perf_counter()

    def say(line: str) -> None:
        print(f"[{time.perf_counter() - started:4.0f} s] {line}", file=sys.stderr, flush=True)

    return say
