"""How many steps to run in one program call: enough to leave Python behind, few enough to be seen and stopped."""

from __future__ import annotations

from dataclasses import dataclass

MOST_STEPS = 4096
_TARGET_S = 0.1  # a progress bar that moves ten times a second looks alive


@dataclass
class Pace:
    """How many steps the next call takes. The first call is one step: it compiles.

    Attributes:
        steps: as many as take the time aimed at, by how long the last call took.
        room: steps until something is to happen between two steps, such as a snapshot.
    """

    steps: int = 1
    room: int = MOST_STEPS

    @property
    def next(self) -> int:
        """Steps of the next call, at least 1."""
        return max(1, min(self.steps, self.room))

    def follow(self, steps: int, seconds: float) -> None:
        """Note that ``steps`` steps took ``seconds``."""
        if seconds < _TARGET_S / 2 and steps >= self.next:
            self.steps = min(MOST_STEPS, self.steps * 8)
        elif seconds > _TARGET_S * 2:
            self.steps = max(1, self.steps // 2)
