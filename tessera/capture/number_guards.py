"""What an update assumes of its hyper-parameters, as nested lists: ``["Unequality", ["symbol", 3], 0.0]``."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Sequence
from typing import Any

# By the names of sympy's classes, and of those that torch adds to them.
_OPERATIONS: dict[str, Callable[..., Any]] = {
    "Equality": operator.eq,
    "Unequality": operator.ne,
    "StrictLessThan": operator.lt,
    "StrictGreaterThan": operator.gt,
    "LessThan": operator.le,
    "GreaterThan": operator.ge,
    "And": lambda *values: all(values),
    "Or": lambda *values: any(values),
    "Not": operator.not_,
    "Add": lambda *values: math.fsum(values),
    "Mul": lambda *values: math.prod(values),
    "Pow": operator.pow,
    "FloatPow": operator.pow,
    "FloatTrueDiv": operator.truediv,
    "ToFloat": float,
    "Abs": abs,
    "Max": max,
    "Min": min,
}


def can_check(guard: Any) -> bool:
    """Whether ``NumberGuards`` knows all operations in it."""
    if not isinstance(guard, list):
        return True
    return guard[0] == "symbol" or (guard[0] in _OPERATIONS and all(map(can_check, guard[1:])))


class NumberGuards:
    """A check of hyper-parameters by guards in words."""

    def __init__(self, guards: Sequence[Any]) -> None:
        self._guards = guards

    def __call__(self, values: Sequence[float]) -> bool:
        return all(_value(guard, values) for guard in self._guards)

    def in_words(self) -> list[Any]:
        """The guards."""
        return list(self._guards)


def _value(guard: Any, values: Sequence[float]) -> Any:
    if not isinstance(guard, list):
        return guard
    name, *rest = guard
    return values[rest[0]] if name == "symbol" else _OPERATIONS[name](*(_value(each, values) for each in rest))
