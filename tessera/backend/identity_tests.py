"""Where a function asks with ``is`` whether two values are one object, read from its code."""

from __future__ import annotations

import dis
import types
from collections.abc import Iterator
from dataclasses import dataclass

_SINGLE = (None, True, False, ...)  # there is one of each


@dataclass(frozen=True)
class IdentityTest:
    """One ``a is b``.

    Attributes:
        lines: the first and the last line of the expression.
        names: of the variables in it.
    """

    lines: tuple[int, int]
    names: frozenset[str]


def identity_tests(code: types.CodeType) -> Iterator[IdentityTest]:
    """All of a function but those against None, True, False and ``...``, and against what is global."""
    before: list[dis.Instruction] = []
    for instruction in dis.get_instructions(code):
        if instruction.opname == "IS_OP" and before and not _is_single(before[-1]):
            yield _test(instruction, before)
        before.append(instruction)


def names_stored(code: types.CodeType, line: int) -> set[str]:
    """The variables that a line of a function assigns."""
    return {
        name
        for instruction in dis.get_instructions(code)
        if _begin(instruction)[0] == line and instruction.opname.startswith("STORE_")
        for name in _variables(instruction)
    }


def lines_of_search(code: types.CodeType) -> set[int]:
    """The lines where something is sought in a container: with ``in``, or by a method of lists."""
    return {
        _begin(instruction)[0]
        for instruction in dis.get_instructions(code)
        if instruction.opname == "CONTAINS_OP" or instruction.argval in _OF_LISTS
    }


_OF_LISTS = ("count", "index", "remove")


def _is_single(instruction: dis.Instruction) -> bool:
    if instruction.opname == "LOAD_CONST":
        return any(instruction.argval is single for single in _SINGLE)
    return instruction.opname == "LOAD_GLOBAL"


def _test(question: dis.Instruction, before: list[dis.Instruction]) -> IdentityTest:
    inside = [instruction for instruction in before if _begin(instruction) >= _begin(question)]
    names = [name for each in inside if each.opname.startswith("LOAD_") for name in _variables(each)]
    first = _begin(question)[0]
    end = question.positions.end_lineno if question.positions else None
    return IdentityTest((first, end or first), frozenset(names))


def _variables(instruction: dis.Instruction) -> tuple[str, ...]:
    """One, or two where Python made one instruction of two; none where it is about something else."""
    if not any(kind in instruction.opname for kind in ("FAST", "DEREF", "NAME")):
        return ()
    return instruction.argval if isinstance(instruction.argval, tuple) else (instruction.argval,)


def _begin(instruction: dis.Instruction) -> tuple[int, int]:
    """Line and column; zeros where Python was told to keep none."""
    place = instruction.positions
    return (place.lineno or 0, place.col_offset or 0) if place else (0, 0)
