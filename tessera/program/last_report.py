"""The last Report outlives its process, in a file of Tessera's cache folder: `tessera report` shows it.

The file is written whenever a Report grows, which is when something was compiled or ran eagerly, and once more when the
process ends. It takes its place by a rename, so of several processes that write at once the last one stays, whole.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import sys
import threading
from pathlib import Path
from typing import Protocol

FILE = "last_report.json"


class Keepable(Protocol):
    """What there is to keep of a Report."""

    def to_json(self) -> str: ...


_kept: dict[int, Keepable] = {}  # by process number: a fork does not write again what its parent kept


def cache_folder() -> Path:
    """``$XDG_CACHE_HOME/tessera``, by default ``~/.cache/tessera``.

    Raises:
        RuntimeError: there is no home folder.
    """
    root = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(root) if Path(root).is_absolute() else Path.home() / ".cache") / "tessera"


def keep(report: Keepable) -> None:
    """Write ``report`` as the last one, now and when the process ends; a folder that cannot be written is no error."""
    if os.getpid() not in _kept:
        _kept.clear()
        atexit.register(_write)
    _kept[os.getpid()] = report
    _write()


def _write() -> None:
    report = _kept.get(os.getpid())
    if report is None:
        return
    with contextlib.suppress(OSError, RuntimeError):
        folder = cache_folder()
        folder.mkdir(parents=True, exist_ok=True)
        mine = folder / f".{FILE}-{os.getpid()}-{threading.get_ident()}"
        try:
            mine.write_text(json.dumps({"program": sys.argv[0], "report": json.loads(report.to_json())}, indent=2))
            mine.replace(folder / FILE)
        finally:
            mine.unlink(missing_ok=True)
