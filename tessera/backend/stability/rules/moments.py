"""Moments around the mean from those around 0, which cancel where the mean is far above the spread.

    sum(w x^2) - sum(w x)^2, sum(w) = 1                         sum(w (x - m)^2), m = sum(w x)
    mean(x^3) - 3 mean(x) mean(x^2) + 2 mean(x)^3               mean((x - mean(x))^3), and the fourth
    a^2 + b^2 + c^2 - (a + b + c)^2 / 3                         (a - m)^2 + (b - m)^2 + (c - m)^2, m = (a + b + c) / 3

The second moment of ``mean`` and ``sum`` is in ``differences.py``.
"""

from __future__ import annotations

import itertools
import math

from tessera.backend.stability.algebra import Algebra, Value
from tessera.backend.stability.rule import Rule
from tessera.backend.stability.rules.complements import beside, without

_RAW = {
    3: {1: 2.0, 2: -3.0, 3: 1.0},
    4: {1: -3.0, 2: 6.0, 3: -4.0, 4: 1.0},
}  # of the n-th: by the moment beside mean(x)^.


def _weighted(algebra: Algebra, value: Value) -> Value | None:
    constant, terms = algebra.terms(value)
    for moment, other in itertools.permutations(terms, 2):
        if terms[moment] != -terms[other] or moment.op != "sum" or other.op != "product":
            continue
        means = [base for base, e in other.args[0] for _ in range(int(e)) if e in (1, 2)]
        if len(means) != 2 or sum(e for _, e in other.args[0]) != 2:
            continue
        a, b = means
        if not all(m.op == "sum" and m.args[1] == moment.args[1] for m in means):
            continue
        weight = _over(algebra, algebra.times(a.args[0], b.args[0]), moment.args[0])
        if not _adds_up_to_one(algebra, weight, moment.args[1]):
            continue
        x, y = (_over(algebra, m.args[0], weight) for m in means)
        found = algebra.make("weighted_covariance", weight, x, y, moment.args[1])
        return beside(algebra, constant, without(terms, moment, other), terms[moment], found)
    return None


def _over(algebra: Algebra, a: Value, b: Value) -> Value:
    """``a / b``, which cancels for the algebra's own reasons and not for the user's."""
    noted, algebra.cancelled = algebra.cancelled, None
    found = algebra.divide(a, b)
    algebra.cancelled = noted
    return found


def _adds_up_to_one(algebra: Algebra, weight: Value, dims: tuple[int, ...]) -> bool:
    if weight.op in ("softmax", "weighted_softmax"):
        return weight.args[-1] == dims
    if weight.op != "product":
        return False
    for base, e in weight.args[0]:
        if base.op == "sum" and e == -1 and base.args[1] == dims:
            return algebra.times(weight, base) is base.args[0]
    return False


def _central(algebra: Algebra, value: Value) -> Value | None:
    constant, terms = algebra.terms(value)
    for term, c in terms.items():
        if term.op != "mean" or term.args[0].op != "product" or len(term.args[0].args[0]) != 1:
            continue
        ((x, order),) = term.args[0].args[0]
        if order not in _RAW:
            continue
        mean = algebra.make("mean", x, term.args[1])
        gone = [term]
        for power, coefficient in _RAW[order].items():
            moment = algebra.make("mean", algebra.power(x, power), term.args[1])
            rest = algebra.power(mean, order - power + (power == 1))
            other = rest if power == 1 else algebra.times(moment, rest) if power < order else term
            if not math.isclose(terms.get(other, 0.0), coefficient * c, rel_tol=1e-9):
                break
            gone.append(other)
        else:
            found = algebra.make("central_moment", x, term.args[1], int(order))
            return beside(algebra, constant, without(terms, *gone), c, found)
    return None


def _written_out(algebra: Algebra, value: Value) -> Value | None:
    constant, terms = algebra.terms(value)
    for square, k in terms.items() if len(terms) > 2 else ():
        if square.op != "product" or len(square.args[0]) != 1 or square.args[0][0][1] != 2:
            continue
        level, summed = algebra.terms(square.args[0][0][0])
        factors = set(summed.values())
        if level or len(summed) < 2 or len(factors) > 1:
            continue
        squares = {x: algebra.power(x, 2) for x in summed}
        weight = -k * next(iter(factors)) ** 2 * len(summed)
        if not all(math.isclose(terms.get(one, 0.0), weight, rel_tol=1e-9) for one in squares.values()):
            continue
        found = algebra.make("deviations", *summed)
        return beside(algebra, constant, without(terms, square, *squares.values()), weight, found)
    return None


MOMENTS = (
    Rule(
        "sum(w x y) - sum(w x) sum(w y) -> sum(w (x - m) (y - n))",
        "linear",
        _weighted,
        "w is a softmax, or divided by its sum",
        "Koenig and Huygens",
        "a mean far above the spread",
    ),
    Rule(
        "mean(x^3) - 3 mean(x) mean(x^2) + 2 mean(x)^3 -> mean((x - mean(x))^3), and the fourth",
        "linear",
        _central,
        "the same dimensions",
        "the binomial theorem",
        "a mean far above the spread",
    ),
    Rule(
        "a^2 + b^2 + c^2 - (a + b + c)^2 / 3 -> (a - m)^2 + (b - m)^2 + (c - m)^2",
        "linear",
        _written_out,
        "as many squares as are added up",
        "Koenig and Huygens",
        "a mean far above the spread",
    ),
)
