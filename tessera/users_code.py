"""Which lines are the user's: those outside of torch, Tessera, Python's own library and what torch computes with."""

from __future__ import annotations

import linecache
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from types import FrameType

import torch

from tessera.errors import SourceLine

_TORCH = str(Path(torch.__file__).parent) + "/"
_TESSERA = str(Path(__file__).parent) + "/"
_OF_SYMBOLS = tuple(f"{Path(torch.__file__).parent.parent / name}/" for name in ("sympy", "mpmath"))  # torch's sizes
_LIBRARIES = ("<", _TORCH, _TESSERA, *_OF_SYMBOLS)
_INSTALLED = ("/site-packages/", "/dist-packages/")
_own: ContextVar[tuple[str, ...] | None] = ContextVar("own", default=None)
_PYTHON = sysconfig.get_path("stdlib") + "/"


def is_library(file: str) -> bool:
    """Whether ``file`` belongs to torch, its algebra, Tessera or Python itself.

    Installed packages are the user's, but within ``installed_are_libraries``.
    """
    if file.startswith(_LIBRARIES):
        return True
    if is_installed(file):
        own = _own.get()
        return own is not None and not file.startswith(own)
    return file.startswith(_PYTHON)


def is_installed(file: str) -> bool:
    """Whether ``file`` is that of an installed package, torch and Tessera aside."""
    return any(place in file for place in _INSTALLED) and not file.startswith(_LIBRARIES)


@contextmanager
def installed_are_libraries(but_for: str) -> Iterator[None]:
    """Within, of installed packages only the one that the file ``but_for`` is of is the user's, if it is of one."""
    place = next((place for place in _INSTALLED if place in but_for), None)
    own: tuple[str, ...] = ()
    if place is not None:
        before, _, inside = but_for.partition(place)
        own = (f"{before}{place}{inside.partition('/')[0]}",)
    token = _own.set(own)
    try:
        yield
    finally:
        _own.reset(token)


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
