"""One less a product that is nearly one: what is left of it is known from the logarithms of its factors.

    1 - prod(sigmoid(-x))         -expm1(sum(logsigmoid(-x)))
    (1 + x) ** n - 1              expm1(n log1p(x)), near 0
    x ** 0.01 - 1                 expm1(0.01 log(x)), near 1
    prod(1 - p) - 1               expm1(sum(log1p(-p))), near 0

A factor 1 + x may be negative, and then so is what it was before.
"""

from __future__ import annotations

from tessera.backend.stability.algebra import Algebra, Value
from tessera.backend.stability.rule import Rule
from tessera.backend.stability.rules.complements import beside, without

DEEPEST = 4


def known_logarithm(algebra: Algebra, value: Value, depth: int = 0) -> Value | None:
    """The logarithm of exponentials and sigmoids and products of them: small, and right, where they are nearly 1."""
    if depth > DEEPEST:
        return None
    if value.op == "exp":
        return value.args[0]
    if value.op == "sigmoid":
        return algebra.make("log_sigmoid", value.args[0])
    if value.op in ("prod", "cumprod"):
        inner = known_logarithm(algebra, value.args[0], depth + 1)
        return inner and algebra.make("sum" if value.op == "prod" else "cumsum", inner, value.args[1])
    if value.op != "product":
        return None
    logs = [(e, known_logarithm(algebra, base, depth + 1)) for base, e in value.args[0]]
    known = [(e, log) for e, log in logs if log is not None]
    return algebra.add(*known) if len(known) == len(logs) else None


def above_one(algebra: Algebra, value: Value) -> Value | None:
    """``x`` of ``1 + x``."""
    constant, terms = algebra.terms(value)
    return algebra.linear(0.0, terms) if constant == 1 and terms else None


def _less_one(algebra: Algebra, value: Value) -> Value | None:
    """``value - 1``."""
    if value.op in ("product", "prod", "cumprod") and (log := known_logarithm(algebra, value)) is not None:
        return algebra.make("expm1", log)
    if value.op == "product" and len(value.args[0]) == 1:
        ((base, exponent),) = value.args[0]
        x = above_one(algebra, base)
        if x is not None and exponent != 0.5:  # whose difference from 1 has a form without a logarithm
            return algebra.make("power_minus_one", x, exponent)
        if exponent % 0.5:
            return algebra.make("root_minus_one", base, exponent)
    if value.op == "prod" and len(value.args[1]) == 1:
        x = above_one(algebra, value.args[0])
        return x and algebra.make("prod_minus_one", x, value.args[1])
    return None


def _minus_one(algebra: Algebra, value: Value) -> Value | None:
    constant, terms = algebra.terms(value)
    for term, c in terms.items() if constant else ():
        if c == -constant and (found := _less_one(algebra, term)) is not None:
            return beside(algebra, 0.0, without(terms, term), c, found)
    return None


NEAR_ONE = (
    Rule(
        "u - 1 -> expm1(log(u)), u a product",
        "linear",
        _minus_one,
        "the logarithms of u's factors are known",
        "the definition of expm1",
        "u near 1",
        tried_beside=True,
    ),
)
