"""Runs work in a child process that is killed at one of its calls to the system."""

from __future__ import annotations

import os
import signal
import warnings
from collections.abc import Callable

# Every call by which a save changes what is on the disk, or makes it stay.
CALLS = ("open", "write", "fsync", "mkdir", "rename", "unlink", "rmdir")
BEFORE, HALFWAY, AFTER = "before", "halfway", "after"


def forked(work: Callable[[], object]) -> int:
    """The number of a child process that does ``work`` and ends, with 0 if it came to its end."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # the child calls nothing that other threads could hold
        child = os.fork()
    if child == 0:
        code = 70
        try:
            work()
            code = 0
        finally:
            os._exit(code)
    return child


def finished(work: Callable[[], object], *, kill_at: int, when: str = BEFORE) -> bool:
    """Whether ``work`` came to its end in a child that kills itself at its call number ``kill_at`` (from 1)."""
    child = forked(lambda: (die_at(kill_at, when), work()))
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert status in {0, -signal.SIGKILL}, f"the child ended with {status}"
    return status == 0


def die_at(number: int, when: str) -> None:
    """From here on this process kills itself at one of its calls."""
    count = 0

    def wrapped(name: str, real: Callable) -> Callable:
        def call(*args, **named):
            nonlocal count
            count += 1
            if count == number:
                if name == "write" and when == HALFWAY:
                    real(args[0], bytes(args[1])[: len(args[1]) // 2])
                elif when == AFTER:
                    real(*args, **named)
                os.kill(os.getpid(), signal.SIGKILL)
            # A kill loses nothing that was written, synced or not, and tests have not got the time.
            return None if name == "fsync" else real(*args, **named)

        return call

    for name in CALLS:
        setattr(os, name, wrapped(name, getattr(os, name)))
