"""What is 0 / 0 at 0 and has a limit there, and functions without the first terms of their series.

    sin(x) / x, (exp(x) - 1) / x, (1 - cos(x)) / x^2        their limit at 0, and a gradient that does not cancel
    exp(x) - 1 - x, log(1 + x) - x, x - sin(x)              their series near 0
    x / (exp(x) - 1), 1 / (exp(x) - 1)                      by exp(-x) for large x

See ``series.py`` for the forms. A divisor that its user keeps from 0 is left as it is, and so is a quotient that a
``where`` chooses among others.
"""

from __future__ import annotations

from typing import Any

from tessera.backend.stability.algebra import Algebra, Terms, Value
from tessera.backend.stability.facts import is_guarded, is_nonnegative, is_shifted
from tessera.backend.stability.rule import Rule
from tessera.backend.stability.rules.complements import beside, without
from tessera.backend.stability.rules.near_one import above_one
from tessera.backend.stability.spelling import call_of

# Form, y, the order of the zero where y is 0, a factor, and what else the form is given.
Zero = tuple[str, Value, int, float, tuple[Any, ...]]

_OVER = {"sin": "sin_over", "sinh": "sinh_over", "erf": "erf_over", "tanh": "tanh_over"}
_REMAINDERS = {"expm1_remainder": 2, "sin_remainder": 3}


def _zero(algebra: Algebra, base: Value) -> Zero | None:
    """What ``base`` is near the zero that it has where y is 0."""
    if base.op in _OVER:
        return _OVER[base.op], base.args[0], 1, 1.0, ()
    if base.op == "log" and (x := above_one(algebra, base.args[0])) is not None:
        return "log1p_over", x, 1, 1.0, ()
    constant, terms = algebra.terms(base)
    if len(terms) == 1:
        ((term, c),) = terms.items()
        return _less_one(algebra, term, c) if c == -constant else None
    found = _remainder_of(algebra, constant, terms)
    if found is None or found[0] == "log1p_remainder" or found[3] != (0.0, {}):
        return None
    form, y, c, _ = found
    return f"{form}_over", y, _REMAINDERS[form], c, ()


def _less_one(algebra: Algebra, term: Value, c: float) -> Zero | None:
    """The zero of ``c * (term - 1)``."""
    if term.op == "exp" and not is_shifted(term.args[0]):
        return "expm1_over", term.args[0], 1, c, ()
    if term.op == "cos":
        return "cos_remainder_over", term.args[0], 2, -c, ()
    if term.op == "product" and len(term.args[0]) == 1:
        ((inner, exponent),) = term.args[0]
        x = above_one(algebra, inner)
        return None if x is None else ("power_minus_one_over", x, 1, c, (exponent,))
    return None


def _remainder_of(
    algebra: Algebra, constant: float, terms: Terms
) -> tuple[str, Value, float, tuple[float, Terms]] | None:
    """A function without the first terms of its series: its form, argument and factor, and what stays beside it."""
    for term, c in terms.items():
        inner: Value | None = term.args[0] if term.op in ("exp", "sin", "log") else None
        if inner is None:
            continue
        if term.op == "exp":
            form, factor, taken = "expm1_remainder", c, algebra.add((-c, inner), (-c, algebra.number(1)))
        elif term.op == "sin":
            form, factor, taken = "sin_remainder", -c, algebra.add((-c, inner))
        else:
            form, factor, taken = "log1p_remainder", c, algebra.add((-c, inner), (c, algebra.number(1)))
            inner = algebra.add((1.0, inner), (-1.0, algebra.number(1)))
        level, gone = algebra.terms(taken)
        if not gone or is_shifted(inner) or any(terms.get(one) != coefficient for one, coefficient in gone.items()):
            continue
        if level and constant != level:
            continue
        return form, inner, factor, (constant - level, without(terms, term, *gone))
    return None


def _remainder(algebra: Algebra, value: Value) -> Value | None:
    constant, terms = algebra.terms(value)
    if len(terms) < 2:
        return None
    found = _remainder_of(algebra, constant, terms)
    if found is None:
        return _coth(algebra, constant, terms)
    form, y, factor, (level, rest) = found
    return beside(algebra, level, rest, factor, algebra.make(form, y))


def _coth(algebra: Algebra, constant: float, terms: Terms) -> Value | None:
    """``1 / tanh(x) - 1 / x``."""
    for term, c in terms.items():
        if term.op != "product" or len(term.args[0]) != 1:
            continue
        ((base, e),) = term.args[0]
        if base.op != "tanh" or e != -1:
            continue
        number, factors = algebra.factors(algebra.power(base.args[0], -1))
        other = algebra.product(1.0, factors)
        if terms.get(other) == -c * number:
            found = algebra.make("coth_remainder", base.args[0])
            return beside(algebra, constant, without(terms, term, other), c, found)
    return None


def _removable(algebra: Algebra, value: Value) -> Value | None:
    if value.node is not None and any(_chooses(user) for user in value.node.users):
        return None
    number, factors = algebra.factors(value)
    for base, power in factors.items():
        if power % 1 or (zero := _zero(algebra, base)) is None:
            continue
        form, y, order, c, more = zero
        scale, inner = algebra.factors(y)
        rest = {b: e for b, e in factors.items() if b is not base}
        if not any(e * power * rest.get(b, 0.0) < 0 for b, e in inner.items()) or any(map(is_guarded, inner)):
            if (divisor := _multiple(algebra, y, rest, power)) is None or is_guarded(y):
                continue
            inner, scale = {divisor[0]: 1.0}, divisor[1]
        for b, e in inner.items():
            rest[b] = rest.get(b, 0.0) + e * order * power
        name = form if power > 0 or form != "expm1_over" else "inverse_expm1_over"
        found = algebra.make(name, y, *more)
        rest[found] = rest.get(found, 0.0) + (power if name == form else -power)
        return algebra.product(number * c**power * scale ** (order * power), rest)
    return None


def _chooses(node: Any) -> bool:
    call = call_of(node)
    return call is not None and call.name in ("where", "masked_fill")


def _multiple(algebra: Algebra, y: Value, rest: dict[Value, float], power: float) -> tuple[Value, float] | None:
    """The factor among ``rest`` that is a multiple of a sum ``y``, and ``y`` divided by it."""
    constant, terms = algebra.terms(y)
    for base, e in rest.items():
        level, others = algebra.terms(base) if base.op == "linear" else (0.0, Terms())
        if e * power >= 0 or len(others) < 2 or others.keys() != terms.keys():
            continue
        first = next(iter(terms))
        ratio = terms[first] / others[first]
        if algebra.scale(base, ratio) is y and constant == level * ratio:
            return base, ratio
    return None


def _inverse(algebra: Algebra, value: Value) -> Value | None:
    """``1 / (exp(x) - 1)``."""
    number, factors = algebra.factors(value)
    for base, power in factors.items():
        if base.op != "linear" or power >= 0 or power % 1:
            continue
        constant, terms = algebra.terms(base)
        ((term, c),) = terms.items() if len(terms) == 1 else ((base, 0.0),)
        if term.op != "exp" or c != -constant or is_shifted(term.args[0]):
            continue
        if is_nonnegative(algebra.negative(term.args[0])):
            continue  # whose exponential does not overflow
        rest = {b: e for b, e in factors.items() if b is not base}
        rest[algebra.make("inverse_expm1", term.args[0])] = -power
        return algebra.product(number * c**power, rest)
    return None


REMAINDERS = (
    Rule(
        "exp(x) - 1 - x, log(1 + x) - x, x - sin(x), coth(x) - 1/x -> their series near 0",
        "linear",
        _remainder,
        "the same x and factor",
        "the power series",
        "|x| < 1e-2",
    ),
)
REMOVABLE = (
    Rule(
        "f(x) / x -> the same, with its limit at 0",
        "product",
        _removable,
        "f is 0 at 0, and x is not kept from 0",
        "the power series",
        "x = 0; the gradient of |x| < 1e-2",
    ),
    Rule(
        "1 / (exp(x) - 1) -> exp(-x) / (1 - exp(-x)) for x > 0",
        "product",
        _inverse,
        "x can be above 0",
        "both are multiplied by exp(-x)",
        "the gradient of x > 88",
    ),
)
