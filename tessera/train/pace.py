"""How many steps to run in one program call: enough to leave Python behind, few enough to be seen and stopped."""

from __future__ import annotations

from dataclasses import dataclass

MOST_STEPS = 4096
_TARGET_S = 0.1  # a progress bar that moves ten times a second looks alive


@dataclass
class Pace:
    """``steps`` of the next call, following how long the last one took. The first call is one step: it compiles."""

    steps: int = 1

    def follow(self, steps: int, seconds: float) -> None:
        """Note that ``steps`` steps took ``seconds``."""
        if seconds < _TARGET_S / 2 and steps >= self.steps:
            self.steps = min(MOST_STEPS, self.steps * 8)
        elif seconds > _TARGET_S * 2:
            self.steps = max(1, self.steps // 2)
