"""log(f), where f is a product of what is given: its factors' logarithms are known where f leaves the range.

    log(a / b)       log(a) - log(b) where a / b overflows or vanishes; log1p((a - b) / b) where a is near b
    log(a b)         log(a) + log(b) where a b overflows or vanishes
    log(x ** n)      n log(x)

What is in the range keeps its bits, unless a / b is near 1, where the quotient is rounded at 1. These rules stand
beside ``logarithms.py`` because they are no reason to take a sum of products for a sum of exponentials.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from tessera.backend.stability.algebra import Algebra, Value
from tessera.backend.stability.facts import is_guarded
from tessera.backend.stability.rule import Rule
from tessera.backend.stability.spelling import example

_GIVEN = ("leaf", "move", "squeeze", "expand", "cast", "abs", "relu", "kept", "norm", "root_mean_square", "prod")
MOST = 6  # factors


def _factors(algebra: Algebra, value: Value) -> tuple[float, dict[Value, float]] | None:
    number, factors = algebra.factors(value.args[0])
    if number <= 0 or not factors or len(factors) > MOST or not all(map(_is_given, factors)):
        return None
    return None if any(map(is_guarded, factors)) else (number, factors)


def _is_given(value: Value) -> bool:
    while value.op in _GIVEN[1:-3]:
        value = value.args[0]
    return value.op in _GIVEN


def _power(algebra: Algebra, value: Value) -> Value | None:
    found = _factors(algebra, value)
    if found is None or len(found[1]) > 1:
        return None
    number, ((base, exponent),) = found[0], found[1].items()
    if exponent == 1:
        return None
    base = algebra.make("abs", base) if exponent % 2 == 0 and base.op != "abs" else base
    return algebra.add((exponent, algebra.make("log", base)), (1.0, algebra.number(math.log(number))))


def _quotient(algebra: Algebra, value: Value) -> Value | None:
    found = _factors(algebra, value)
    if found is None or found[0] != 1 or sorted(found[1].values()) != [-1.0, 1.0]:
        return None
    above, below = sorted(found[1], key=lambda base: -found[1][base])
    least = _least(above, below)
    return None if least is None else algebra.make("log_quotient", above, below, least)


def _product(algebra: Algebra, value: Value) -> Value | None:
    found = _factors(algebra, value)
    if found is None or len(found[1]) < 2:
        return None
    number, factors = found
    least = _least(*factors)
    if least is None:
        return None
    return algebra.make("log_product", least, number, tuple(factors.values()), *factors)


def _least(*values: Value) -> float | None:
    """The least normal number of the dtype that all values have."""
    dtypes = {_dtype(value) for value in values}
    (dtype,) = dtypes if len(dtypes) == 1 else (None,)
    return None if dtype is None else float(torch.finfo(dtype).tiny)


def _dtype(value: Value) -> torch.dtype | None:
    while value.op != "leaf":
        if value.op == "cast":
            return value.args[1]
        if not (parts := value.parts()):
            return None
        value = parts[0]
    tensor = example(value.args[0])
    return tensor.dtype if isinstance(tensor, Tensor) else None


_HOSTILE = "factors whose product overflows or vanishes"

LOG_PRODUCTS = (
    Rule("log(x ** n) -> n log(x)", "log", _power, "x is given", "the definition of a power", "a power out of range"),
    Rule(
        "log(a / b) -> log1p((a - b) / b), or log(a) - log(b)",
        "log",
        _quotient,
        "a and b are given, and no eps or clamp keeps them apart from 0",
        "a - b is exact where a / 2 <= b <= 2 a (Sterbenz)",
        "a quotient that overflows or vanishes; a near b",
        tried_beside=True,
    ),
    Rule(
        "log(a b) -> log(a) + log(b), where a b leaves the range",
        "log",
        _product,
        "the factors are given, and no eps or clamp keeps them apart from 0",
        "log(ab) = log(a) + log(b) for a, b > 0",
        _HOSTILE,
    ),
)
