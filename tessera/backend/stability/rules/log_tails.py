"""log(f), where f is a tail of a distribution or a difference of two: the form of its logarithm is in ``tails.py``.

log(erfc(x))                        log(erfcx(x)) - x^2
log(sigmoid(a) - sigmoid(b))        logsigmoid(a) + logsigmoid(-b) + log1mexp(b - a)
acosh(1 + u)                        log1p(u + sqrt(u) sqrt(u + 2))
"""

from __future__ import annotations

import math

from tessera.backend.stability.algebra import Algebra, Value
from tessera.backend.stability.facts import is_guarded
from tessera.backend.stability.rule import Rule
from tessera.backend.stability.rules.near_one import above_one

_TAILS = ("power", "erfc", "erfc_difference", "i0", "one_minus_exp")


def _tail(algebra: Algebra, v: Value) -> Value | None:
    inner = v.args[0]
    return algebra.make(f"log_{inner.op}", *inner.args) if inner.op in _TAILS else None


def _difference_of_distributions(algebra: Algebra, v: Value) -> Value | None:
    constant, terms = algebra.terms(v.args[0])
    if constant or len(terms) != 2 or sum(terms.values()):
        return None
    a, b = sorted(terms, key=lambda term: -terms[term])
    if a.op == b.op == "erfc":
        found: Value | None = algebra.make("log_erfc_difference", a.args[0], b.args[0])
    elif a.op == b.op == "sigmoid":
        found = _log_of_sigmoids(algebra, a.args[0], b.args[0])
    else:
        return None
    return found and algebra.add((1.0, found), (1.0, algebra.number(math.log(terms[a]))))


def _log_of_sigmoids(algebra: Algebra, a: Value, b: Value) -> Value:
    noted, algebra.cancelled = algebra.cancelled, None
    gap = algebra.minus(b, a)
    algebra.cancelled = noted
    apart = algebra.make("log_one_minus_exp", gap)
    if gap.number is not None:
        apart = algebra.number(math.log(-math.expm1(gap.number)) if gap.number < 0 else math.nan)
    parts = (algebra.make("log_sigmoid", a), algebra.make("log_sigmoid", algebra.negative(b)), apart)
    return algebra.add(*((1.0, part) for part in parts))


def _inverse_cosh(algebra: Algebra, v: Value) -> Value | None:
    beyond = above_one(algebra, v.args[0])
    return None if beyond is None or is_guarded(v.args[0]) else algebra.make("acosh_of_one_plus", beyond)


LOG_TAILS = (
    Rule(
        "log(erfc(x)) -> log(erfcx(x)) - x^2, log(i0(x)) -> log(i0e(x)) + |x|, log(x ** y) -> y log(x)",
        "log",
        _tail,
        "",
        "erfcx(x) = exp(x^2) erfc(x), i0e(x) = exp(-|x|) i0(x); the definition of a power",
        "x > 9, where erfc vanishes; x > 88; a power out of range",
    ),
    Rule(
        "acosh(1 + u) -> log1p(u + sqrt(u) sqrt(u + 2))",
        "acosh",
        _inverse_cosh,
        "",
        "the definition of acosh",
        "u < 1e-7",
    ),
    Rule(
        "log(sigmoid(a) - sigmoid(b)) -> logsigmoid(a) + logsigmoid(-b) + log1mexp(b - a), and of erfc",
        "log",
        _difference_of_distributions,
        "equal factors",
        "sigmoid(a) - sigmoid(b) = sigmoid(a) sigmoid(-b) (1 - exp(b - a)); u - v = u (1 - exp(log v - log u))",
        "a, b > 17; a, b < -88",
    ),
)
