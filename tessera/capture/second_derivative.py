"""Whether a forward or a loss differentiates itself, as a gradient penalty does.

Compiled pieces have no second derivative. They would only say so in the backward, when the forward's side effects (a
printed line, an entry in a list) have happened; so the code is read beforehand.
"""

from __future__ import annotations

import types
from collections.abc import Iterator
from typing import Any

import torch

WORD = "create_graph"


def wants_second_derivative(module: torch.nn.Module, loss: Any) -> bool:
    """Whether code of ``module``, its layers or ``loss`` passes ``create_graph``, itself or in a function it names."""
    seen: set[types.CodeType] = set()
    owners = [*module.modules(), loss]
    held = [value for owner in owners for value in (owner, *getattr(owner, "__dict__", {}).values())]
    methods = [value for owner in owners for kind in type(owner).__mro__ for value in vars(kind).values()]
    return any(_mentions(f, seen) for f in (*held, *methods) if isinstance(f, types.FunctionType))


def passes_create_graph(code: types.CodeType) -> bool:
    """Whether a function itself does, by name or in a dict of arguments."""
    keywords = [name for constant in code.co_consts if isinstance(constant, tuple) for name in constant]
    return WORD in code.co_names or WORD in keywords or WORD in code.co_consts


def _mentions(function: types.FunctionType, seen: set[types.CodeType]) -> bool:
    if function.__code__ in seen or (function.__module__ or "").partition(".")[0] == "torch":
        return False
    for code in _codes(function.__code__):
        seen.add(code)
        if passes_create_graph(code):
            return True
        named = (function.__globals__.get(name) for name in code.co_names)
        if any(_mentions(other, seen) for other in named if isinstance(other, types.FunctionType)):
            return True
    return False


def _codes(code: types.CodeType) -> Iterator[types.CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _codes(constant)
