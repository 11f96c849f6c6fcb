"""Functions that Dynamo is to run as they are, for it would break them up where that shows.

What is captured in pieces keeps its variables where ``locals()`` and ``eval`` do not find them, and an attribute that a
function reads of itself, and sets, is read for good. A key of ``max()`` or ``min()`` is run while they are captured,
and never again.
"""

from __future__ import annotations

import dis
import types
from collections.abc import Iterable, Iterator
from typing import Any

import torch

from tessera.backend.named_values import named_values
from tessera.capture.step_down import RunsEagerly
from tessera.users_code import is_library


def codes_to_leave_alone(called: Iterable[Any]) -> list[types.CodeType]:
    """Codes of the user's functions among those that are ``called``, and those that these name, near and far."""
    found = []
    for function in _named(called):
        code, instructions = function.__code__, list(dis.get_instructions(function.__code__))
        stored = {i.argval for i in instructions if i.opname == "STORE_ATTR"}
        sets = any(
            type(value) is types.FunctionType and attribute in stored for value, attribute in named_values(function)
        )
        if sets or not _LOOK.isdisjoint(i.argval for i in instructions if i.opname in _NAMED):
            found.append(code)
    return found


def refuse_keys_with_effects(called: Iterable[Any]) -> None:
    """Look whether ``max(..., key=)`` or ``min`` is called somewhere with what may do more than compute.

    Raises:
        RunsEagerly: it is.
    """
    for function in _named(called):
        code = function.__code__
        has_key = any(isinstance(names, tuple) and "key" in names for names in code.co_consts)
        if not has_key or {"max", "min"}.isdisjoint(code.co_names):
            continue
        inside = [constant for constant in code.co_consts if isinstance(constant, types.CodeType)]
        named = [value.__code__ for value, _ in named_values(function) if type(value) is types.FunctionType]
        if any(map(_has_effects, (*inside, *named))):
            raise RunsEagerly(KEYED.format(code.co_qualname))


KEYED = "Dynamo runs the key of max() or min() in {} while it captures, and not again"


def _has_effects(code: types.CodeType) -> bool:
    return not _CHANGING.isdisjoint(code.co_names) or any(
        i.opname in ("STORE_GLOBAL", "STORE_ATTR", "STORE_SUBSCR", "STORE_DEREF") for i in dis.get_instructions(code)
    )


_CHANGING = {
    *("append", "extend", "insert", "remove", "pop", "add", "discard", "update", "setdefault", "clear", "next", "send"),
    *("print", "write", "debug", "info", "warning", "error", "log", "random", "randint", "choice"),
}


def _named(called: Iterable[Any]) -> Iterator[types.FunctionType]:
    """The user's functions among those that are ``called``, and those that these name, near and far."""
    waiting, seen = list(called), set[types.CodeType]()
    while waiting:
        for function in _functions_of(waiting.pop()):
            if function.__code__ not in seen and not is_library(function.__code__.co_filename):
                seen.add(function.__code__)
                yield function
                waiting += [value for value, _ in named_values(function)]


_LOOK = {"locals", "eval", "exec"}
_NAMED = ("LOAD_GLOBAL", "LOAD_NAME")  # and not the method of that name which modules have


def _functions_of(value: Any) -> Iterator[types.FunctionType]:
    kind = type(value)
    if kind is types.FunctionType:
        yield value
    elif kind is types.MethodType:
        yield from _functions_of(value.__func__)
    elif issubclass(kind, torch.nn.Module):
        for layer in value.modules():
            yield from _functions_of(type(layer).forward)
            for own in vars(layer).values():
                if type(own) is types.FunctionType:
                    yield own
