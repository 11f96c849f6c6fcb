"""Where a function formats a number by itself, read from its code: of a symbol that Dynamo was given, nothing is made.

A number that has changed from call to call is a symbol. ``f"{n:03d}"`` is ``n`` itself then, an ``int`` in place of a
``str``, wherever it goes: ``f"{n}" == "2"`` is False, ``table[f"{n}"]`` is another key. In 2.11 to 2.13.
"""

from __future__ import annotations

import dis
import types
from collections.abc import Iterable, Iterator

from tessera import torch_internals

_FORMATS = ("FORMAT_VALUE", "FORMAT_SIMPLE", "FORMAT_WITH_SPEC")
_ENDS = ("RAISE_VARARGS", "RETURN_VALUE", "RERAISE")


def formats_symbols(codes: Iterable[types.CodeType], symbols: torch_internals.Symbols) -> bool:
    """Whether one of the functions may format a number among those that a capture takes for symbols."""
    if not symbols.numbers:
        return False
    return any(symbols.elements or not counted for code in codes for counted in _formatted(code))


def _formatted(code: types.CodeType) -> Iterator[bool]:
    """For each variable, attribute or element that is formatted, bar for an error, whether a loop counts it."""
    instructions = [i for i in dis.get_instructions(code) if i.opname not in ("CACHE", "PRECALL")]
    counters = _counters(instructions)
    for at, instruction in enumerate(instructions):
        if instruction.opname in _FORMATS and not _is_raised(instructions[at:]):
            before = (i for i in reversed(instructions[:at]) if i.opname not in ("LOAD_CONST", "CONVERT_VALUE"))
            operand = next(before, None)
            if operand is not None and operand.opname.startswith(("LOAD_", "BINARY_SUBSCR")):
                name = operand.argval[-1] if isinstance(operand.argval, tuple) else operand.argval
                yield name in counters


def _is_raised(following: list[dis.Instruction]) -> bool:
    for instruction in following:
        if instruction.opname in _ENDS or "JUMP" in instruction.opname:
            return instruction.opname == "RAISE_VARARGS"
    return False


def _counters(instructions: list[dis.Instruction]) -> set[str]:
    """The variables that only ``for`` gives a value."""
    counted, others, counting = set[str](), set[str](), False
    for instruction in instructions:
        if instruction.opname == "STORE_FAST":
            (counted if counting else others).add(instruction.argval)
        elif instruction.opname != "UNPACK_SEQUENCE" or not counting:
            counting = instruction.opname == "FOR_ITER"
    return counted - others
