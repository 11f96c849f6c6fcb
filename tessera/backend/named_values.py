"""What the names in a function stand for, read from its code: globals, variables around it, attributes of both."""

from __future__ import annotations

import dis
import types
from collections.abc import Iterator
from typing import Any

_LOADS = ("LOAD_GLOBAL", "LOAD_DEREF", "LOAD_CLASSDEREF", "LOAD_NAME")
_ATTRIBUTES = ("LOAD_ATTR", "LOAD_METHOD", "STORE_ATTR", "DELETE_ATTR")


def named_values(function: types.FunctionType) -> Iterator[tuple[Any, str]]:
    """What ``function`` names, and the attribute of it that comes next in the code ("" for none).

    Attributes of modules and of classes are followed; nothing of the user's runs.
    """
    names = _around(function)
    value: Any = _NOTHING
    for instruction in dis.get_instructions(function.__code__):
        if instruction.opname in _LOADS:
            if value is not _NOTHING:
                yield value, ""
            value = names.get(instruction.argval, _NOTHING)
        elif value is not _NOTHING and instruction.opname in _ATTRIBUTES:
            yield value, instruction.argval
            follow = type(value) is types.ModuleType or issubclass(type(value), type)
            value = vars(value).get(instruction.argval, _NOTHING) if follow else _NOTHING
        elif value is not _NOTHING and instruction.opname not in ("PUSH_NULL", "PRECALL", "CACHE"):
            yield value, ""
            value = _NOTHING
    if value is not _NOTHING:
        yield value, ""


_NOTHING = object()


def _around(function: types.FunctionType) -> dict[str, Any]:
    names = dict(function.__globals__)
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        try:
            names[name] = cell.cell_contents
        except ValueError:  # nothing was assigned yet
            names.pop(name, None)
    return names
