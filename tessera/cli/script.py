"""A script that is run as Python runs it, with an exit code that tells of an interruption."""

from __future__ import annotations

import os
import runpy
import signal
import socket
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tessera.errors import SettingError

_INTERRUPTIONS = (signal.SIGINT, signal.SIGTERM)


def run_script(path: Path, arguments: Sequence[str]) -> int:
    """Run a script as ``__main__`` with its arguments.

    Returns:
        0; 128 + the signal's number if the script came to its end although SIGINT or SIGTERM had reached it, as it does
        when ``fit`` saves and stops.

    Raises:
        SettingError: there is no such file.
        SystemExit: the script's own.
    """
    if not path.is_file():
        raise SettingError(
            f"{path} was passed, and there is no such file.",
            "A script is a Python file.",
            "Check the path; it is looked up from the current folder.",
        )
    sys.argv = [str(path), *arguments]
    sys.path.insert(0, os.path.realpath(path.parent))
    with _signals() as seen:
        runpy.run_path(str(path), run_name="__main__")
    return next((128 + number for number in seen if number in _INTERRUPTIONS), 0)


@contextmanager
def _signals() -> Iterator[bytearray]:
    """The numbers of the signals that reached Python inside, whoever handled them; filled at the end."""
    seen = bytearray()
    reader, writer = socket.socketpair()
    with reader, writer:
        reader.setblocking(False)
        writer.setblocking(False)
        before = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
        try:
            yield seen
        finally:
            signal.set_wakeup_fd(before)
        try:
            seen += reader.recv(1 << 16)
        except BlockingIOError:  # none came
            return
