"""Lengths that are computed from others, as ``"2*S"`` is of ``"S"``."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import TypeGuard

from tessera.shapes.size import Operation, Size, evaluate, names


def solved(formula: Size, length: int) -> dict[str, int] | None:
    """The number for the one name in ``formula`` that gives ``length``; None where there is none, or are two names."""
    unknown = set(names(formula))
    if len(unknown) != 1:
        return None
    (name,) = unknown
    fits = (number for number in range(1, 2 * length + 64) if evaluate(formula, {name: number}) == length)
    number = next(fits, None)
    return None if number is None else {name: number}


def most(formula: Size, largest: Mapping[str, int]) -> int | None:
    """The largest length that sizes from one to ``largest`` give; None where one of its names has no largest.

    Sums, products and quotients are largest where each of their sizes is smallest or largest.
    """
    unknown = list(dict.fromkeys(names(formula)))
    if not all(name in largest for name in unknown):
        return None
    ends = itertools.product(*((1, largest[name]) for name in unknown))
    lengths = [evaluate(formula, dict(zip(unknown, corner, strict=True))) for corner in ends]
    return max(length for length in lengths if length is not None)


def can_change(size: object) -> TypeGuard[Operation]:
    """Whether a declared size is arithmetic that an export can follow: a remainder has no order."""
    return isinstance(size, Operation) and bool(names(size)) and not _has_remainder(size)


def _has_remainder(size: Size) -> bool:
    return isinstance(size, Operation) and (size.sign == "%" or _has_remainder(size.left) or _has_remainder(size.right))
