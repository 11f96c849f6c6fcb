"""Which ``debug_mode()`` is active in this thread: whatever would run compiled code asks here first."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tessera.debug.mode import DebugMode


class Switch:
    """Whether compiled code is to run line by line.

    Attributes:
        entered: how many modes are active in all threads together; a call that meets 0 looks no further.
    """

    __slots__ = ("_here", "_lock", "entered")

    def __init__(self) -> None:
        self.entered = 0
        self._here = _Here()
        self._lock = threading.Lock()

    def mode(self) -> DebugMode | None:
        """The innermost mode of this thread."""
        return self._here.modes[-1] if self.entered and self._here.modes else None

    def enter(self, mode: DebugMode) -> None:
        """Begin a mode in this thread."""
        with self._lock:
            self.entered += 1
        self._here.modes.append(mode)

    def leave(self) -> None:
        """End the innermost mode of this thread."""
        self._here.modes.pop()
        with self._lock:
            self.entered -= 1


class _Here(threading.local):
    def __init__(self) -> None:
        self.modes: list[DebugMode] = []


SWITCH = Switch()
