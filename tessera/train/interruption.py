"""Ctrl-C and SIGTERM end a training between two steps."""

from __future__ import annotations

import sys
import threading
from dataclasses import dataclass, field
from signal import SIG_DFL, SIGINT, SIGTERM, Signals, signal
from types import FrameType, TracebackType
from typing import Any, Self

_SIGNALS = (SIGINT, SIGTERM)


@dataclass
class Interruption:
    """Inside, the first SIGINT or SIGTERM is only noted; the second does what it did before.

    Signals reach the main thread alone: in any other one nothing is noted.

    Attributes:
        received: the one that came, if any.
    """

    received: Signals | None = None
    _before: dict[Signals, Any] = field(default_factory=dict)

    @property
    def reason(self) -> str:
        """Why the training ends; "" while it does not."""
        if self.received is None:
            return ""
        return "stopped by " + ("Ctrl-C" if self.received is SIGINT else self.received.name)

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal(number, self._note) for number in _SIGNALS}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            # What was not set from Python cannot be put back from Python.
            signal(number, SIG_DFL if handler is None else handler)
        self._before = {}

    def _note(self, number: int, _: FrameType | None) -> None:
        self.received = Signals(number)
        self.__exit__(None, None, None)
        sys.stderr.write(f"\n{self.reason}: ending after this step; once more ends at once\n")
