"""One line on the terminal while something is compiled that takes more than a moment.

    compiling training step of GPT: 8 C++ kernels, 12 s

It is written to standard error and gone when the compilation is over. Without a terminal the stages go to the log.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Iterator

from tessera.terminal import Console, Live, Text

logger = logging.getLogger("tessera")
QUIET_S = 2.0  # a compilation that is shorter says nothing


class _Line:
    """The compilation that runs: what it is of, its stage, since when."""

    def __init__(self, name: str, console: Console) -> None:
        self._name, self._console, self._stage = name, console, "capture"
        self._began = time.perf_counter()
        self._live = Live(
            get_renderable=self._text,
            console=console,
            refresh_per_second=2,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._lock, self._over = threading.Lock(), False  # the timer may fire while the compilation ends
        self._timer = threading.Timer(QUIET_S, self._show)
        self._timer.daemon = True
        self._timer.start()

    def stage(self, what: str) -> None:
        self._stage = what
        if time.perf_counter() - self._began >= QUIET_S and not self._console.is_terminal:
            logger.info("%s", self._text())

    def close(self) -> None:
        self._timer.cancel()
        with self._lock:
            self._over = True
            if self._live.is_started:
                self._live.stop()

    def _show(self) -> None:
        with self._lock:
            if self._over:
                return
            if self._console.is_terminal:
                self._live.start()
            else:
                logger.info("%s", self._text())

    def _text(self) -> Text:
        seconds = time.perf_counter() - self._began
        return Text(f"compiling {self._name}: {self._stage}, {seconds:.0f} s", no_wrap=True)


_running: list[_Line | None] = []  # innermost last; None: nobody wants to see it


@contextlib.contextmanager
def compiling(name: str, console: Console | None = None) -> Iterator[None]:
    """Inside, say what is compiled, should it take long; within another compilation that one's line stays.

    Args:
        name: what is compiled, such as ``"training step of GPT"``.
        console: where to write; standard error by default.
    """
    if _running:
        yield
        return
    line = _Line(name, console or Console(stderr=True))
    _running.append(line)
    try:
        yield
    finally:
        _running.remove(line)
        line.close()


@contextlib.contextmanager
def silently() -> Iterator[None]:
    """Inside, say nothing: the terminal has a line of its own, which would not bear another."""
    _running.append(None)
    try:
        yield
    finally:
        _running.remove(None)


def stage(what: str) -> None:
    """Say what the compilation that runs does now."""
    if _running and (line := _running[-1]) is not None:
        line.stage(what)
