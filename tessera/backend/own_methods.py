"""Methods that a user wrote in Python, which Dynamo may run when nobody asks for them, or not where Python would."""

from __future__ import annotations

import sys
import types
from typing import Any


def owner_of(kind: type, name: str) -> type | None:
    """The class that a method written in Python comes from, unless that is one of Python's library or of torch."""
    for owner in kind.__mro__:
        if name in vars(owner):
            own = isinstance(vars(owner)[name], types.FunctionType) and not _of_a_library(owner)
            return owner if own else None
    return None


def root_of(value: Any) -> str:
    """The package that a class or function, or the class of an object, comes from."""
    return str(getattr(value, "__module__", None) or type(value).__module__).partition(".")[0]


def _of_a_library(value: Any) -> bool:
    return (root := root_of(value)) in ("torch", "tessera") or root in sys.stdlib_module_names
