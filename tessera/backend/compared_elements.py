"""Constants sought among what is no constant: Dynamo compares constants alone, and finds none in silence.

    wrong   2.0 in [x.mean(), y]        wrong   "b" in self.options     where an option is equal to its name

Python asks each element whether it is equal, a tensor for its value. What an element may be is read from the function's
code and from what the capture met. In 2.11 to 2.13.
"""

from __future__ import annotations

import dis
import inspect
import types
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import fx

from tessera import torch_internals
from tessera.backend.identity_tests import begin, names_stored, variables_of
from tessera.backend.own_methods import owner_of
from tessera.program.provenance import frames_of_trace
from tessera.users_code import is_library

_Lines = set[tuple[str, int]]


@dataclass(frozen=True)
class _Search:
    """One ``constant in container``, the container as it stands in the code.

    Attributes:
        written: whether the container is written there, and its elements with it.
        sought: what is sought, where that is written there too; else ``...``.
    """

    code: types.CodeType
    container: list[dis.Instruction]
    written: bool
    sought: object

    @property
    def of_text(self) -> bool:
        """Which no tensor is equal to."""
        return isinstance(self.sought, str)


def seeks_among_others(graph_module: fx.GraphModule, traced: torch_internals.Traced) -> bool:
    """Whether a capture has ``constant in container`` with a tensor in it, or an object with an ``__eq__``."""
    searches = [search for code in traced.codes for search in _searches(code)]
    if not searches:
        return False
    computed = _lines_of_tensors(graph_module)
    tensors, objects = _elements_met(traced)
    return any(
        (objects and not search.written)
        or (
            not search.of_text
            and (
                _may_hold_tensors(search, computed, traced)
                if search.written
                else (tensors and search.sought is not ...) or _gathers(search, computed, traced)
            )
        )
        for search in searches
    )


def _searches(code: types.CodeType) -> Iterator[_Search]:
    before: list[dis.Instruction] = []
    for instruction in dis.get_instructions(code):
        if instruction.opname == "CONTAINS_OP":
            last = before[-1]
            inside = [each for each in before if begin(each) >= begin(instruction)]
            container = [each for each in inside if begin(each) >= begin(last)]
            sought = inside[0] if inside else last
            constant = sought.argval if sought.opname == "LOAD_CONST" else ...
            options = last.argval in _names_of_options(code)
            if last.opname != "LOAD_CONST" and constant is not None and not options:  # no tensor is equal to None
                yield _Search(code, container, last.opname in ("BUILD_TUPLE", "BUILD_LIST"), constant)
        before.append(instruction)


def _names_of_options(code: types.CodeType) -> tuple[str, ...]:
    """What a function calls its ``**options``, a dict."""
    if not code.co_flags & inspect.CO_VARKEYWORDS:
        return ()
    arguments = code.co_argcount + code.co_kwonlyargcount + bool(code.co_flags & inspect.CO_VARARGS)
    return code.co_varnames[arguments : arguments + 1]


def _lines_of_tensors(graph_module: fx.GraphModule) -> _Lines:
    """Where the user's code computed tensors."""
    return {
        place
        for node in graph_module.graph.nodes
        if node.op != "placeholder" and isinstance(node.meta.get("example_value"), torch.Tensor)
        for place in frames_of_trace(node.stack_trace or "")
    }


def _may_hold_tensors(search: _Search, computed: _Lines, traced: torch_internals.Traced) -> bool:
    """Whether a container that is written in the code may have a tensor in it."""
    code, parts = search.code, search.container
    names = _tensor_arguments(search, traced) | _stored(code, computed)
    computes = any((code.co_filename, begin(part)[0]) in computed for part in parts if part.opname.startswith(_OPERATE))
    return any(
        name in names
        for part, after in zip(parts, [*parts[1:], None], strict=True)
        if part.opname.startswith("LOAD_")
        and (computes or after is None or after.opname not in ("LOAD_ATTR", "LOAD_METHOD"))
        for name in variables_of(part)
    )


_OPERATE = ("BINARY_", "CALL", "UNARY_")


def _tensor_arguments(search: _Search, traced: torch_internals.Traced) -> set[str]:
    """The arguments of a function that may be tensors: of the one that was called it is known."""
    names = search.code.co_varnames[: search.code.co_argcount + search.code.co_kwonlyargcount]
    values = _given_to(search.code, traced)
    return set(names) if values is None else {name for name, v in values.items() if isinstance(v, torch.Tensor)}


def _given_to(code: types.CodeType, traced: torch_internals.Traced) -> dict[str, object] | None:
    """The arguments of the function that is captured, by their names; None of any other."""
    if traced.frame is code:
        return traced.variables
    match list(traced.variables.values()):
        case [types.FunctionType() as called, tuple() as args, dict() as named] if called.__code__ is code:
            return dict(zip(code.co_varnames[: code.co_argcount], args, strict=False)) | named
    return None


def _gathers(search: _Search, computed: _Lines, traced: torch_internals.Traced) -> bool:
    """Whether a container with a name holds what was computed, tensors that were given, or arguments left over."""
    code = search.code
    names = {name for part in search.container for name in variables_of(part)}
    given = {n for n, value in (_given_to(code, traced) or {}).items() if any(map(_is_tensor, _elements(value)))}
    rest = code.co_varnames[code.co_argcount + code.co_kwonlyargcount :][: bool(code.co_flags & inspect.CO_VARARGS)]
    return not names.isdisjoint({*_stored(code, computed), *given, *rest})


def _stored(code: types.CodeType, computed: _Lines) -> set[str]:
    return {name for file, line in computed if file == code.co_filename for name in names_stored(code, line)}


def _elements_met(traced: torch_internals.Traced) -> tuple[bool, bool]:
    """Whether a list or tuple that the capture met has a tensor in it, and an object with an ``__eq__``."""
    ours = is_library(traced.frame.co_filename)  # which is given the arguments in a tuple and a dict
    own = {id(value) for value in traced.variables.values() if ours}
    given = [each for value in traced.variables.values() for each in _elements(value)]
    met = [value for value in (*given, *traced.roots) if id(value) not in own]
    inside = [each for value in met if isinstance(value, list | tuple | deque) for each in value]
    tensors = any(map(_is_tensor, inside))
    return tensors, any(owner_of(type(each), "__eq__") is not None for each in inside)


def _is_tensor(value: object) -> bool:
    return isinstance(value, torch.Tensor)


def _elements(value: object) -> list[object]:
    if isinstance(value, dict):
        return list(value.values())
    return list(value) if isinstance(value, list | tuple) else []
