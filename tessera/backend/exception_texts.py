"""Where a function takes the text of an exception that it caught, read from its code.

Dynamo makes that text of the exception's arguments alone: ``str(KeyError("k"))`` is "'k'", and becomes "k".

    except KeyError as error: log(f"no {error}")        def __exit__(self, kind, error, trace): log(str(error))
"""

from __future__ import annotations

import builtins
import dis
import itertools
import types
from collections.abc import Iterator
from typing import Any

from tessera.backend.named_values import named_values


def takes_text_of_exception(function: types.FunctionType) -> bool:
    """Whether ``function`` may take the text of an exception of which it is more than the arguments."""
    code = function.__code__
    instructions = [i for i in dis.get_instructions(code) if i.opname not in ("PRECALL", "PUSH_NULL", "CACHE")]
    if code.co_name == "__exit__" and code.co_argcount > 2:
        return code.co_varnames[2] in _made_text_of(instructions)
    classes = {value.__name__: value for value, _ in named_values(function) if _is_exception(value)}
    classes |= {name: value for name in code.co_names if _is_exception(value := vars(builtins).get(name))}
    return any(
        name in _made_text_of(instructions)
        for kinds, name in _caught(instructions)
        if any(_has_own_text(classes[kind]) for kind in kinds if kind in classes)
    )


def _is_exception(value: Any) -> bool:
    return issubclass(type(value), type) and issubclass(value, BaseException)


def _has_own_text(kind: type[BaseException]) -> bool:
    """Whether it, or a class of the same module that is derived from it, says more than its arguments."""
    near = (each for each in kind.__subclasses__() if kind is LookupError or kind.__module__ != "builtins")
    return kind.__str__ is not BaseException.__str__ or any(map(_has_own_text, near))


def _caught(instructions: list[dis.Instruction]) -> Iterator[tuple[set[str], str]]:
    """The names of the classes of every ``except ... as name``, and that name."""
    for place, instruction in enumerate(instructions):
        if instruction.opname == "CHECK_EXC_MATCH":
            loads = itertools.takewhile(lambda i: i.opname in _OF_CLASSES, reversed(instructions[:place]))
            stored = next((i for i in instructions[place + 1 : place + 4] if i.opname.startswith("STORE_")), None)
            if stored is not None:
                yield {i.argval for i in loads if isinstance(i.argval, str)}, stored.argval


_OF_CLASSES = ("LOAD_GLOBAL", "LOAD_NAME", "LOAD_DEREF", "LOAD_ATTR", "BUILD_TUPLE")


def _made_text_of(instructions: list[dis.Instruction]) -> set[str]:
    """The variables that are handed to something, or stand in a text."""
    return {
        before.argval
        for before, after in itertools.pairwise(instructions)
        if before.opname in ("LOAD_FAST", "LOAD_DEREF", "LOAD_NAME", "LOAD_FAST_CHECK") and after.opname in _MAKES_TEXT
    }


_MAKES_TEXT = ("CALL", "FORMAT_VALUE", "FORMAT_SIMPLE", "FORMAT_WITH_SPEC", "CONVERT_VALUE", "BINARY_OP", "BUILD_TUPLE")
