"""The compiled Programs that are alive in this process, so that a profile finds them."""

from __future__ import annotations

import contextlib
import weakref
from collections.abc import Callable, Iterator
from typing import Any

_alive: weakref.WeakSet[Any] = weakref.WeakSet()
_watchers: list[Callable[[Any], None]] = []


def register(executable: Any) -> None:
    """Note a new one."""
    _alive.add(executable)
    for watcher in _watchers:
        watcher(executable)


@contextlib.contextmanager
def watched(watcher: Callable[[Any], None]) -> Iterator[None]:
    """Call ``watcher`` with each that is alive, and with each that is made inside the block."""
    for executable in list(_alive):
        watcher(executable)
    _watchers.append(watcher)
    try:
        yield
    finally:
        _watchers.remove(watcher)
