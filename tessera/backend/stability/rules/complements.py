"""One less a function that can be nearly one: what is left of it is known without the 1.

    1 - sigmoid(x)       sigmoid(-x)             1 - tanh(x)^2            4 e / (1 + e)^2, e = exp(-2|x|)
    exp(x) - 1           expm1(x)                1 - cos(x)               2 sin(x / 2)^2
    1 - erf(x)           erfc(x)                 1 - where(c, p, q)       where(c, 1 - p, 1 - q)

Terms beside those that cancel stay beside the result.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

from tessera.backend.stability.algebra import Algebra, Terms, Value
from tessera.backend.stability.facts import is_shifted
from tessera.backend.stability.rule import Rule


def without(terms: Terms, *gone: Value) -> Terms:
    """The other terms."""
    return {term: c for term, c in terms.items() if term not in gone}


def beside(algebra: Algebra, constant: float, terms: Terms, factor: float, found: Value) -> Value:
    """``factor * found`` and the terms beside it."""
    return algebra.add((factor, found), (1.0, algebra.linear(constant, terms)))


def _of_one(
    op: str, build: Callable[[Algebra, Value], Value], level: float, sign: float
) -> Callable[..., Value | None]:
    """For ``c * (level + sign * op(x))``, which is ``c * build(x)``."""

    def find(algebra: Algebra, value: Value) -> Value | None:
        constant, terms = algebra.terms(value)
        for term, coefficient in terms.items():
            if term.op == op and math.isclose(constant * sign, level * coefficient, rel_tol=1e-12):
                return beside(algebra, 0.0, without(terms, term), coefficient * sign, build(algebra, term.args[0]))
        return None

    return find


def _of_square(op: str, build: Callable[[Algebra, Value], Value]) -> Callable[..., Value | None]:
    """For ``c * (1 - op(x)^2)``."""

    def find(algebra: Algebra, value: Value) -> Value | None:
        constant, terms = algebra.terms(value)
        for term, coefficient in terms.items():
            if term.op == "product" and len(term.args[0]) == 1 and coefficient == -constant != 0:
                ((base, exponent),) = term.args[0]
                if exponent == 2 and base.op == op:
                    return beside(algebra, 0.0, without(terms, term), constant, build(algebra, base.args[0]))
        return None

    return find


def _minus_one(algebra: Algebra, value: Value) -> Value | None:
    constant, terms = algebra.terms(value)
    for term, coefficient in terms.items():
        if term.op == "exp" and coefficient == -constant != 0 and not is_shifted(term.args[0]):
            return beside(algebra, 0.0, without(terms, term), coefficient, algebra.make("expm1", term.args[0]))
    return None


def _half(algebra: Algebra, x: Value) -> Value:
    return algebra.scale(x, 0.5)


def _square_of(algebra: Algebra, op: str, x: Value) -> Value:
    return algebra.scale(algebra.power(algebra.make(op, _half(algebra, x)), 2), 2.0)


def _sigmoid_of(algebra: Algebra, x: Value, factor: float) -> Value:
    return algebra.make("sigmoid", algebra.scale(x, factor))


def _sech_squared(algebra: Algebra, x: Value) -> Value:
    return algebra.make("sech_squared", x)


def _mixture(algebra: Algebra, value: Value) -> Value | None:
    """``1 - (w p + (1 - w) q)``, where ``1 - p`` or ``1 - q`` is known."""
    constant, terms = algebra.terms(value)
    items = [(term, dict(term.args[0])) for term, c in terms.items() if c == -constant and term.op == "product"]
    for (first, a), (second, b) in itertools.permutations(items, 2) if constant else ():
        for weight in a:
            other = algebra.add((1.0, algebra.number(1)), (-1.0, weight))
            if weight.op == "sigmoid" or a[weight] != 1 or b.get(other) != 1:
                continue
            parts = [_but(algebra, a, weight), _but(algebra, b, other)]
            if not any(_complement(algebra, part) for part in parts):
                continue
            left = [_complement(algebra, part) or algebra.add((1.0, algebra.number(1)), (-1.0, part)) for part in parts]
            found = algebra.add((1.0, algebra.times(weight, left[0])), (1.0, algebra.times(other, left[1])))
            return beside(algebra, 0.0, without(terms, first, second), constant, found)
    return None


def _but(algebra: Algebra, factors: dict[Value, float], gone: Value) -> Value:
    return algebra.product(1.0, {base: e for base, e in factors.items() if base is not gone})


def _complement(algebra: Algebra, value: Value) -> Value | None:
    """A stable form of 1 - value."""
    noted, algebra.cancelled = algebra.cancelled, None
    one_minus = algebra.add((1.0, algebra.number(1)), (-1.0, value))
    algebra.cancelled = noted
    return next((found for rule in _OF_ONE if (found := rule.find(algebra, one_minus)) is not None), None)


def _chosen(algebra: Algebra, value: Value) -> Value | None:
    """``1 - where(c, p, q)``, where ``1 - p`` or ``1 - q`` is known."""
    constant, terms = algebra.terms(value)
    for term, c in terms.items() if constant else ():
        if term.op != "where" or c != -constant:
            continue
        condition, *branches = term.args
        left = [_complement(algebra, branch) for branch in branches]
        if not any(left):
            continue
        one = algebra.number(1)
        left = [f or algebra.add((1.0, one), (-1.0, branch)) for f, branch in zip(left, branches, strict=True)]
        return beside(algebra, 0.0, without(terms, term), constant, algebra.make("where", condition, *left))
    return None


_OF_ONE = (
    Rule(
        "1 - sigmoid(x) -> sigmoid(-x)",
        "linear",
        _of_one("sigmoid", lambda algebra, x: _sigmoid_of(algebra, x, -1.0), 1.0, -1.0),
        "equal factors",
        "1 - 1 / (1 + e^-x) = 1 / (1 + e^x)",
        "x > 17",
        tried=True,
    ),
    Rule(
        "sigmoid(x) - 1/2 -> tanh(x/2) / 2",
        "linear",
        _of_one("sigmoid", lambda algebra, x: algebra.scale(algebra.make("tanh", _half(algebra, x)), 0.5), -0.5, 1.0),
        "the constant is half of the factor",
        "2 sigmoid(x) - 1 = tanh(x / 2)",
        "|x| < 1e-4",
        tried_beside=True,
    ),
    Rule(
        "1 - tanh(x) -> 2 sigmoid(-2x)",
        "linear",
        _of_one("tanh", lambda algebra, x: algebra.scale(_sigmoid_of(algebra, x, -2.0), 2.0), 1.0, -1.0),
        "equal factors",
        "tanh(x) = 2 sigmoid(2x) - 1",
        "x > 9",
        tried_beside=True,
    ),
    Rule(
        "1 + tanh(x) -> 2 sigmoid(2x)",
        "linear",
        _of_one("tanh", lambda algebra, x: algebra.scale(_sigmoid_of(algebra, x, 2.0), 2.0), 1.0, 1.0),
        "equal factors",
        "tanh(x) = 2 sigmoid(2x) - 1",
        "x < -9",
        tried_beside=True,
    ),
    Rule(
        "1 - tanh(x)^2 -> 4 e / (1 + e)^2, e = exp(-2|x|)",
        "linear",
        _of_square("tanh", _sech_squared),
        "equal factors",
        "(1 - tanh)(1 + tanh)",
        "|x| > 9",
        tried_beside=True,
    ),
    Rule(
        "1 - cos(x) -> 2 sin(x/2)^2",
        "linear",
        _of_one("cos", lambda algebra, x: _square_of(algebra, "sin", x), 1.0, -1.0),
        "equal factors",
        "the half-angle formula",
        "|x| < 1e-3",
        tried_beside=True,
    ),
    Rule(
        "1 - cos(x)^2 -> sin(x)^2",
        "linear",
        _of_square("cos", lambda algebra, x: algebra.power(algebra.make("sin", x), 2)),
        "equal factors",
        "Pythagoras",
        "|x| < 1e-3",
        tried_beside=True,
    ),
    Rule(
        "1 - sin(x)^2 -> cos(x)^2",
        "linear",
        _of_square("sin", lambda algebra, x: algebra.power(algebra.make("cos", x), 2)),
        "equal factors",
        "Pythagoras",
        "x near pi/2",
        tried_beside=True,
    ),
    Rule(
        "cosh(x) - 1 -> 2 sinh(x/2)^2",
        "linear",
        _of_one("cosh", lambda algebra, x: _square_of(algebra, "sinh", x), -1.0, 1.0),
        "equal factors",
        "the half-angle formula",
        "|x| < 1e-3",
        tried_beside=True,
    ),
    Rule(
        "1 - erf(x) -> erfc(x)",
        "linear",
        _of_one("erf", lambda algebra, x: algebra.make("erfc", x), 1.0, -1.0),
        "equal factors",
        "the definition",
        "x > 4",
        tried_beside=True,
    ),
    Rule(
        "1 + erf(x) -> erfc(-x)",
        "linear",
        _of_one("erf", lambda algebra, x: algebra.make("erfc", algebra.negative(x)), 1.0, 1.0),
        "equal factors",
        "erf is odd",
        "x < -4",
        tried_beside=True,
    ),
    Rule(
        "elu(x) + 1 -> where(x > 0, x + 1, exp(x))",
        "linear",
        _of_one("elu", lambda algebra, x: algebra.make("elu_plus_one", x), 1.0, 1.0),
        "equal factors",
        "the definition",
        "x < -17",
        tried_beside=True,
    ),
    Rule(
        "2 - erfc(x) -> erfc(-x)",
        "linear",
        _of_one("erfc", lambda algebra, x: algebra.make("erfc", algebra.negative(x)), 2.0, -1.0),
        "the constant is twice the factor",
        "erf is odd",
        "x < -4",
        tried_beside=True,
    ),
    Rule(
        "exp(x) - 1 -> expm1(x)",
        "linear",
        _minus_one,
        "equal factors",
        "the definition",
        "|x| < 1e-7",
        tried_beside=True,
    ),
)

COMPLEMENTS = (
    *_OF_ONE,
    Rule(
        "1 - (w p + (1 - w) q) -> w (1 - p) + (1 - w) (1 - q)",
        "linear",
        _mixture,
        "1 - p or 1 - q is known",
        "w + (1 - w) = 1",
        "p and q near 1",
        tried_beside=True,
    ),
    Rule(
        "1 - where(c, p, q) -> where(c, 1 - p, 1 - q)",
        "linear",
        _chosen,
        "1 - p or 1 - q is known",
        "where chooses element by element",
        "what is chosen is near 1",
        tried_beside=True,
    ),
)
