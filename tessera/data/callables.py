"""What is known of a user's function without calling it: its name, its line, whether it asks for a generator."""

from __future__ import annotations

import functools
import inspect
import linecache
import sysconfig
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tessera.errors import SourceLine

_PATHS = sysconfig.get_paths()
_OTHERS = (str(Path(__file__).parents[1]), _PATHS["stdlib"], _PATHS["purelib"], _PATHS["platlib"], "<frozen")


def name_of(function: Callable[..., Any]) -> str:
    """What to call it in a message."""
    inner = _innermost(function)
    return getattr(inner, "__qualname__", None) or type(inner).__qualname__


def line_of(function: Callable[..., Any]) -> SourceLine | None:
    """Where it is defined; None for what is not written in Python."""
    inner = _innermost(function)
    code = getattr(inner, "__code__", None) or getattr(
        inspect.getattr_static(inner, "__call__", None), "__code__", None
    )
    return SourceLine(code.co_filename, code.co_firstlineno) if code else None


def takes_rng(function: Callable[..., Any]) -> bool:
    """Whether it has a parameter ``rng``."""
    try:
        return "rng" in inspect.signature(function).parameters
    except (TypeError, ValueError):  # built-in functions without a signature
        return False


def line_of_error(error: BaseException) -> SourceLine | None:
    """The innermost line of the user's own code that ``error`` passed through."""
    frames = traceback.extract_tb(error.__traceback__)
    mine = [frame for frame in frames if not frame.filename.startswith(_OTHERS)]
    if not mine:
        return None
    line = mine[-1].lineno or 0
    return SourceLine(mine[-1].filename, line, linecache.getline(mine[-1].filename, line).strip())


def _innermost(function: Any) -> Any:
    while isinstance(function, functools.partial):
        function = function.func
    return getattr(inspect.unwrap(function), "__func__", None) or inspect.unwrap(function)
