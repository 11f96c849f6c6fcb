"""Which lines are the user's: those outside of torch, Tessera, Python's own library and what torch computes with."""

from __future__ import annotations

import linecache
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

import torch

from tessera.errors import SourceLine

_TORCH = str(Path(torch.__file__).parent) + "/"
_TESSERA = str(Path(__file__).parent) + "/"
_OF_SYMBOLS = tuple(f"{Path(torch.__file__).parent.parent / name}/" for name in ("sympy", "mpmath"))  # torch's sizes
_LIBRARIES = ("<", _TORCH, _TESSERA, *_OF_SYMBOLS)
_PYTHON = sysconfig.get_path("stdlib") + "/"


def is_library(file: str) -> bool:
    """Whether ``file`` belongs to torch, its algebra, Tessera or Python itself (installed packages are the user's)."""
    if file.startswith(_LIBRARIES):
        return True
    return file.startswith(_PYTHON) and "/site-packages/" not in file


def is_tesseras(file: str) -> bool:
    """Whether ``file`` is one of Tessera's own."""
    return file.startswith(_TESSERA)


def users_frames(frame: FrameType | None) -> Iterator[FrameType]:
    """Frames of the user's code on the stack, from the innermost."""
    while frame is not None:
        if not is_library(frame.f_code.co_filename):
            yield frame
        frame = frame.f_back


def users_line(frame: FrameType | None) -> SourceLine | None:
    """The innermost line of the user's on the stack, with its text."""
    for found in users_frames(frame):
        return source_line_at(found.f_code.co_filename, found.f_lineno)
    return None


def source_line_at(file: str, line: int) -> SourceLine:
    """A line of a file with its text."""
    return SourceLine(file, line, linecache.getline(file, line).strip())
