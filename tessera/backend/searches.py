"""Where a function searches a container, read from its code: Dynamo finds no number among symbols, and says so of none.

A size or a number that has changed from call to call is a symbol. ``3 in x.shape`` is False then, whatever it is; so is
``i in (0, n - 1)``. In 2.11 to 2.13.
"""

from __future__ import annotations

import dis
import itertools
import types
from collections.abc import Iterable, Iterator

from tessera import torch_internals
from tessera.backend.identity_tests import begin

_OF_LISTS = ("count", "index", "remove")
_SIZES = {"shape", "size", "stride"}


def lines_of_search(code: types.CodeType) -> set[int]:
    """The lines where something is sought in a container: with ``in``, or by a method of lists."""
    seeking = (i for i in dis.get_instructions(code) if i.opname == "CONTAINS_OP" or i.argval in _OF_LISTS)
    return {line for i in seeking if i.positions and (line := i.positions.lineno) is not None}


def searches_symbols(codes: Iterable[types.CodeType], symbols: torch_internals.Symbols) -> bool:
    """Whether one of the functions may seek a number among those that a capture takes for symbols."""
    if not symbols.any:
        return False
    searched = {kind for code in codes for kind in _containers(code)}
    return (
        not searched.isdisjoint(("sizes", "variables"))
        or (symbols.numbers and "written" in searched)
        or (symbols.elements and "given" in searched)
    )


def _containers(code: types.CodeType) -> Iterator[str]:
    """What is searched with ``in``: sizes of a tensor, a list written there (of variables or not), or one given."""
    before: list[dis.Instruction] = []
    for instruction in dis.get_instructions(code):
        if instruction.opname == "CONTAINS_OP":
            inside = [each for each in before if begin(each) >= begin(instruction)]
            last, sought = before[-1], inside[0] if inside else before[-1]
            if sought.opname == "LOAD_CONST" and isinstance(sought.argval, str):
                pass  # no number is a text
            elif last.argval in _SIZES or (last.opname == "CALL" and any(i.argval in _SIZES for i in inside)):
                yield "sizes"
            elif last.opname in ("BUILD_TUPLE", "BUILD_LIST"):
                yield "variables" if _holds_variable([i for i in inside if begin(i) >= begin(last)]) else "written"
            elif last.opname != "LOAD_CONST":
                yield "given"
        before.append(instruction)


def _holds_variable(parts: list[dis.Instruction]) -> bool:
    """Whether a variable itself is among them, and not only an attribute of one."""
    return any(
        "LOAD_FAST" in one.opname and not following.opname.startswith(("LOAD_ATTR", "LOAD_METHOD"))
        for one, following in itertools.pairwise(parts)
    )
