"""How much a check may do, counted in operations: a slow machine or a busy one finds what a fast one finds."""

from __future__ import annotations

import math
import time

_EVERY = 256  # times that are asked the clock is looked at: on some systems that takes longer than an operation
_NET = 120.0  # seconds of this thread in which even what should be little must be done: symbols may grow beyond bounds


class Budget:
    """A number of operations, spent one by one; a part of another one is spent from that too.

    Args:
        most: operations.
        of: what this is a part of.
        idle: so many of them may bring nothing new, one after the other.

    Attributes:
        left: operations; below 0 where more were done.
    """

    def __init__(self, most: float = math.inf, of: Budget | None = None, idle: float = math.inf) -> None:
        self.left = most
        self._of = of
        self._most_idle = self._idle_left = idle
        self._ends = time.thread_time() + _NET
        self._asked = 0

    def spend(self, operations: int = 1) -> None:
        self.left -= operations
        self._idle_left -= operations
        if self._of is not None:
            self._of.spend(operations)

    def has_news(self) -> None:
        """The run came to a line for the first time."""
        self._idle_left = self._most_idle

    def is_over(self, more: int = 0) -> bool:
        """Whether nothing is left of it, even if there were so many ``more``."""
        self._asked += 1
        if self._asked % _EVERY == 0 and time.thread_time() > self._ends:
            self.left = -math.inf
        return self.left + more <= 0 or self._idle_left <= 0
