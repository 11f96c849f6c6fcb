"""Functions that Dynamo is to run as they are, for it would break them up where that shows.

What is captured in pieces keeps its variables where ``locals()`` and ``eval`` do not find them, and an attribute that a
function reads of itself, and sets, is read for good.
"""

from __future__ import annotations

import dis
import types
from collections.abc import Iterable, Iterator
from typing import Any

import torch

from tessera.backend.named_values import named_values
from tessera.users_code import is_library


def codes_to_leave_alone(functions: Iterable[types.FunctionType]) -> list[types.CodeType]:
    """The codes of those among ``functions``."""
    found = []
    for function in functions:
        code, instructions = function.__code__, list(dis.get_instructions(function.__code__))
        stored = {i.argval for i in instructions if i.opname == "STORE_ATTR"}
        sets = any(
            type(value) is types.FunctionType and attribute in stored for value, attribute in named_values(function)
        )
        if sets or not _LOOK.isdisjoint(i.argval for i in instructions if i.opname in _NAMED):
            found.append(code)
    return found


def users_functions(called: Iterable[Any]) -> Iterator[types.FunctionType]:
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
