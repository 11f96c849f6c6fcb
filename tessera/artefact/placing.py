"""A file takes its place as a whole: written beside it, synced, renamed."""

from __future__ import annotations

import contextlib
import os
import uuid
from pathlib import Path


def place(path: Path, content: bytes) -> None:
    """Write a file; until it is whole on the disk, what stood there before stands there.

    Raises:
        OSError: the disk is full, or whatever else the system says.
    """
    fresh = path.with_name(f".{path.name}-{uuid.uuid4().hex}")
    try:
        with fresh.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
    finally:
        with contextlib.suppress(OSError):
            fresh.unlink(missing_ok=True)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
