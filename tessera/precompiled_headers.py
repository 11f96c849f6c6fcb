"""Headers that a C++ compiler has read once for all, beside the libraries in the cache folder.

Nine tenths of the time that a compiler takes for a kernel are torch's headers; what it wrote down of them it reads in a
fifth of that. Writing it down takes as long as three kernels do, so it is done behind what goes on, with a low
priority, when a second source has come that includes them.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

import torch

from tessera.program.last_report import cache_folder

_MOST = 4  # kept; each has about 160 MB
_LONGEST = 600.0  # seconds after which a compiler that writes has been stopped
# The shell ends at once and its child goes on. The output has its name only when it is whole.
_SCRIPT = '(whole="$1"; part="$2"; shift 2; if "$@" -o "$part"; then mv -f "$part" "$whole"; else rm -f "$part"; fi) &'


def flags(command: Sequence[str], headers: str) -> list[str]:
    """What has ``command`` begin with ``headers`` as they were written down; nothing where they were not.

    Args:
        command: a compiler and its flags; only with the very same ones may it read them.
        headers: lines of ``#define`` and ``#include``.
    """
    path = _path(command, headers)
    return ["-include", str(path)] if path and _written(path).exists() else []


def write(command: Sequence[str], headers: str) -> bool:
    """Have them written down behind what goes on, from the second time on that it is asked for.

    False where this is the first time, somebody does it already, or nobody can.
    A folder that cannot be written, or a compiler that refuses, is no error: compiling takes longer then.
    """
    path = _path(command, headers)
    if path is None or not (nice := shutil.which("nice")) or not (shell := shutil.which("sh")):
        return False
    with contextlib.suppress(OSError):
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            path.write_text(headers)
            return False
        part = path.with_suffix(".part")
        with contextlib.suppress(FileNotFoundError):
            if time.time() - part.stat().st_mtime > _LONGEST:
                part.unlink()
        os.close(os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        _forget_the_oldest(path.parent)
        compiler = [part for part in command if part != "-shared" and not part.startswith(("-l", "-L"))]  # no linking
        compiler += ["-x", "c++-header", str(path)]
        subprocess.run(  # noqa: S603
            [nice, "-n", "10", shell, "-c", _SCRIPT, "sh", str(_written(path)), str(part), *compiler],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            check=False,
        )
        return True
    return False


def forget(command: Sequence[str], headers: str) -> None:
    """Remove what was written down: a compiler cannot read it."""
    if path := _path(command, headers):
        with contextlib.suppress(OSError):
            _written(path).unlink(missing_ok=True)


def _path(command: Sequence[str], headers: str) -> Path | None:
    """Of the headers as text; a compiler looks for what was written down beside them."""
    found = Path(shutil.which(command[0]) or command[0]).resolve()
    with contextlib.suppress(OSError, RuntimeError):
        parts = [str(found), str(found.stat().st_mtime_ns), torch.__version__, headers, *command]
        key = hashlib.sha256("\0".join(parts).encode()).hexdigest()
        return cache_folder() / "headers" / f"{key}.h"
    return None


def _written(path: Path) -> Path:
    return path.with_name(f"{path.name}.gch")  # the name that both g++ and clang look for


def _forget_the_oldest(folder: Path) -> None:
    kept = sorted(folder.glob("*.gch"), key=lambda file: file.stat().st_mtime, reverse=True)
    for file in kept[_MOST - 1 :]:
        file.unlink(missing_ok=True)
