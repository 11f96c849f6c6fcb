"""Where a function asks with ``is`` whether two values are one object, read from its code."""

from __future__ import annotations

import dis
import types
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

_SINGLE = (None, True, False, ...)  # there is one of each


@dataclass(frozen=True)
class IdentityTest:
    """One ``a is b``.

    Attributes:
        lines: the first and the last line of the expression.
        names: of the variables in it.
        parts: the attributes and keys in it.
    """

    lines: tuple[int, int]
    names: frozenset[str]
    parts: frozenset[str]


def identity_tests(code: types.CodeType) -> Iterator[IdentityTest]:
    """All of a function but those against None, True, False and ``...``, and against what is global."""
    before: list[dis.Instruction] = []
    for instruction in dis.get_instructions(code):
        if instruction.opname == "IS_OP" and before and not _is_single(before[-1]):
            yield _test(instruction, before)
        before.append(instruction)


def names_asked_about(codes: Iterable[types.CodeType]) -> frozenset[str]:
    """The variables, attributes and keys that functions ask about; empty where none asks."""
    tests = [test for code in codes for test in identity_tests(code)]
    return frozenset().union(*(test.names | test.parts | {""} for test in tests))


def names_stored(code: types.CodeType, line: int) -> set[str]:
    """The variables that a line of a function assigns."""
    return {
        name
        for instruction in dis.get_instructions(code)
        if begin(instruction)[0] == line and instruction.opname.startswith("STORE_")
        for name in variables_of(instruction)
    }


def _is_single(instruction: dis.Instruction) -> bool:
    if instruction.opname == "LOAD_CONST":
        return any(instruction.argval is single for single in _SINGLE)
    return instruction.opname == "LOAD_GLOBAL"


def _test(question: dis.Instruction, before: list[dis.Instruction]) -> IdentityTest:
    inside = [instruction for instruction in before if begin(instruction) >= begin(question)]
    names = [name for each in inside if each.opname.startswith("LOAD_") for name in variables_of(each)]
    parts = [each.argval for each in inside if each.opname in _PARTS and isinstance(each.argval, str)]
    first = begin(question)[0]
    end = question.positions.end_lineno if question.positions else None
    return IdentityTest((first, end or first), frozenset(names), frozenset(parts))


_PARTS = ("LOAD_ATTR", "LOAD_METHOD", "LOAD_CONST")


def variables_of(instruction: dis.Instruction) -> tuple[str, ...]:
    """One, or two where Python made one instruction of two; none where it is about something else."""
    if not any(kind in instruction.opname for kind in ("FAST", "DEREF", "NAME")):
        return ()
    return instruction.argval if isinstance(instruction.argval, tuple) else (instruction.argval,)


def begin(instruction: dis.Instruction) -> tuple[int, int]:
    """Line and column; zeros where Python was told to keep none."""
    place = instruction.positions
    return (place.lineno or 0, place.col_offset or 0) if place else (0, 0)
