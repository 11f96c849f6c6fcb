"""Sums whose terms cancel: what is left of them is known without the terms.

    exp(x) - 1             expm1(x)                  1 - sigmoid(x)           sigmoid(-x)
    1 - cos(x)             2 sin(x / 2)^2            1 - tanh(x)^2            4 sigmoid(2x) sigmoid(-2x)
    a^2 - b^2              (a - b) (a + b)           mean(x^2) - mean(x)^2    mean((x - mean(x))^2)
    sqrt(a) - sqrt(b)      (a - b) / (sqrt(a) + sqrt(b)), where a - b is simpler than a and b

Terms beside those that cancel stay beside the result. For one less a function see ``complements.py``.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator

from tessera import torch_internals
from tessera.backend.stability.algebra import Algebra, Terms, Value, scaled
from tessera.backend.stability.facts import is_centred, is_guarded, is_shifted
from tessera.backend.stability.rule import Rule
from tessera.backend.stability.rules.complements import COMPLEMENTS, beside, without
from tessera.backend.stability.rules.moments import MOMENTS
from tessera.backend.stability.rules.near_one import NEAR_ONE
from tessera.backend.stability.rules.removable import REMAINDERS
from tessera.backend.stability.spelling import Movement, call_of
from tessera.program import is_marked_as_stable

REGULARISER = 1e-2  # a smaller number that two logarithms have in common keeps both from 0, and is all they share

_WITH_LOGARITHMS = ("exp", "sigmoid", "softmax", "erfc")


def _pairs(terms: Terms) -> Iterator[tuple[Value, Value, float]]:
    """Two terms with opposite coefficients, the positive one first."""
    above = [term for term, c in terms.items() if c > 0]
    below = [term for term, c in terms.items() if c < 0]
    for a, b in itertools.product(above, below):
        if terms[a] == -terms[b]:
            yield a, b, terms[a]


def root_of_square(algebra: Algebra, term: Value) -> Value | None:
    """``x`` of ``x^2``."""
    if term.op == "product" and all(e % 2 == 0 for _, e in term.args[0]):
        return algebra.product(1.0, {base: e / 2 for base, e in term.args[0]})
    return None


def _two_squares(algebra: Algebra, value: Value) -> Value | None:
    """By themselves, and with no other powers in them."""
    constant, terms = algebra.terms(value)
    if constant or len(terms) != 2 or not all(t.op == "product" and all(e == 2 for _, e in t.args[0]) for t in terms):
        return None
    return _squares(algebra, value)


def _squares(algebra: Algebra, value: Value) -> Value | None:
    constant, terms = algebra.terms(value)
    for a, b, c in _pairs(terms):
        x, y = root_of_square(algebra, a), root_of_square(algebra, b)
        if x is not None and y is not None and constant == 0:
            found = algebra.make("difference_of_squares", x, y)
            return beside(algebra, constant, without(terms, a, b), c, found)
    if len(terms) == 1 and constant:
        ((term, c),) = terms.items()
        x = root_of_square(algebra, term)
        root = math.sqrt(-constant / c) if constant * c < 0 else 0.0
        if x is not None and root and root * root == -constant / c and x.op not in ("tanh", "sin", "cos"):
            return algebra.scale(algebra.make("difference_of_squares", x, algebra.number(root)), c)
    return None


def _variance(algebra: Algebra, value: Value) -> Value | None:
    """``mean(x y) - mean(x) mean(y)``, and the same of sums over ``n``."""
    constant, terms = algebra.terms(value)
    if constant or len(terms) < 2:
        return None
    for moment, other in itertools.permutations(terms, 2):
        if moment.op not in ("mean", "sum") or other.op != "product":
            continue
        pair = _pair_of_factors(algebra, moment.args[0])
        means = _pair_of_factors(algebra, other)
        if pair is None or means is None:
            continue
        factor, x, y = pair
        scale, a, b = means
        if not all(m.op in ("mean", "sum") and m.args[1] == moment.args[1] for m in (a, b)) or a.op != b.op:
            continue
        if {a.args[0], b.args[0]} != {x, y} or scale != 1 or factor != 1 or (x is y and is_centred(x)):
            continue
        count = count_of(moment)
        weight = terms[moment]
        wanted = {
            ("mean", "mean"): 1.0,
            ("sum", "sum"): count and 1 / count,
            ("sum", "mean"): count,
            ("mean", "sum"): count and 1 / count**2,
        }[moment.op, a.op]
        if not wanted or not math.isclose(terms[other], -weight * wanted, rel_tol=1e-9):
            continue
        found = (
            algebra.make("variance" if moment.op == "mean" else "squared_deviations", x, moment.args[1])
            if x is y
            else algebra.make("covariance", x, y, moment.args[1])
        )
        if x is not y and moment.op == "sum":
            weight *= count or 1.0
        return beside(algebra, constant, without(terms, moment, other), weight, found)
    return None


def _pair_of_factors(algebra: Algebra, value: Value) -> tuple[float, Value, Value] | None:
    number, factors = algebra.factors(value)
    each = [base for base, e in factors.items() for _ in range(int(e)) if e in (1, 2)]
    if len(each) != 2 or sum(factors.values()) != 2:
        return None
    return number, each[0], each[1]


def count_of(reduced: Value) -> float | None:
    """How many numbers are reduced to one, if that is known."""
    shape = reduced.args[0].shape
    if shape is None:
        return None
    size = math.prod(shape[d] for d in reduced.args[1])
    return float(size) if isinstance(size, int) else None


def _simpler(algebra: Algebra, a: Value, b: Value) -> Value | None:
    """``a - b``, if they have something in common that goes away."""
    constant_a, terms_a = algebra.terms(a)
    constant_b, terms_b = algebra.terms(b)
    common = sum(terms_b.get(term) == c for term, c in terms_a.items()) + (constant_a == constant_b != 0)
    if not common:
        return None
    noted, algebra.cancelled = algebra.cancelled, None
    difference = algebra.minus(a, b)
    algebra.cancelled = noted
    return difference if difference.number != 0 else None


def _rooted(value: Value) -> Value | None:
    """``a`` of ``sqrt(a)``."""
    if value.op == "product" and len(value.args[0]) == 1 and value.args[0][0][1] == 0.5:
        return value.args[0][0][0]
    return None


def _roots(algebra: Algebra, value: Value) -> Value | None:
    constant, terms = algebra.terms(value)
    for a, b, c in _pairs(terms):
        under, other = _rooted(a), _rooted(b)
        if under is not None and other is not None:
            difference = _simpler(algebra, under, other)
            if difference is not None:
                found = algebra.divide(difference, algebra.add((1.0, a), (1.0, b)))
                return beside(algebra, constant, without(terms, a, b), c, found)
        for root, inside, x, sign in ((a, under, b, c), (b, other, a, -c)):
            if inside is not None and (difference := _simpler(algebra, inside, algebra.power(x, 2))) is not None:
                found = algebra.make("root_minus", root, x, difference)
                return beside(algebra, constant, without(terms, a, b), sign, found)
    for term, c in terms.items():
        inside = _rooted(term)
        level = -constant / c
        if inside is not None and level > 0:
            difference = _simpler(algebra, inside, algebra.number(level * level))
            if difference is not None:
                below = algebra.add((1.0, term), (1.0, algebra.number(level)))
                found = _over(algebra, difference, below)
                return beside(algebra, 0.0, without(terms, term), c, found)
    return None


def _over(algebra: Algebra, above: Value, below: Value) -> Value:
    """``above / below``; of ``x^2``, ``x`` is divided before it is squared, and does not overflow."""
    factor, square = scaled(above)
    x = root_of_square(algebra, square)
    if x is None:
        return algebra.divide(above, below)
    return algebra.scale(algebra.make("square_over", x, below), factor)


def _reciprocals(algebra: Algebra, value: Value) -> Value | None:
    constant, terms = algebra.terms(value)
    for a, b, c in _pairs(terms):
        under, other = (
            term.args[0][0][0] if term.op == "product" and [e for _, e in term.args[0]] == [-1.0] else None
            for term in (a, b)
        )
        if under is None or other is None:
            continue
        difference = _simpler(algebra, other, under)
        if difference is not None:
            found = algebra.multiply((difference, 1.0), (under, -1.0), (other, -1.0))
            return beside(algebra, constant, without(terms, a, b), c, found)
    return None


def _reciprocal_roots(algebra: Algebra, value: Value) -> Value | None:
    """``1 / sqrt(a) - 1 / sqrt(b)``."""
    constant, terms = algebra.terms(value)
    for a, b, c in _pairs(terms):
        under, other = (
            term.args[0][0][0] if term.op == "product" and [e for _, e in term.args[0]] == [-0.5] else None
            for term in (a, b)
        )
        if under is None or other is None:
            continue
        difference = _simpler(algebra, other, under)
        if difference is not None:
            roots = algebra.power(under, 0.5), algebra.power(other, 0.5)
            below = (roots[0], -1.0), (roots[1], -1.0), (algebra.add((1.0, roots[0]), (1.0, roots[1])), -1.0)
            return beside(algebra, constant, without(terms, a, b), c, algebra.multiply((difference, 1.0), *below))
    return None


def _logarithms(algebra: Algebra, value: Value) -> Value | None:
    constant, terms = algebra.terms(value)
    for a, b, c in _pairs(terms):
        if a.op != "log" or b.op != "log":
            continue
        above, below = a.args[0], b.args[0]
        constant_a, terms_a = algebra.terms(above)
        constant_b, terms_b = algebra.terms(below)
        if any(term.op in _WITH_LOGARITHMS for term in (*terms_a, *terms_b)):
            continue  # each logarithm has a form of its own
        if constant_b == 1 and terms_b == {above: -1.0}:
            continue  # odds
        if constant_a == constant_b == 1 and len(terms_a) == 1 and terms_a == {t: -k for t, k in terms_b.items()}:
            if _is_spelled_log1p(a) and _is_spelled_log1p(b):
                continue  # of opposite signs, so that nothing cancels
            found = algebra.scale(algebra.make("atanh", algebra.linear(0.0, terms_a)), 2.0)
        else:
            difference = _simpler(algebra, above, below)
            guarded = 0 < constant_a < REGULARISER and not terms_a.keys() & terms_b.keys()
            if difference is None or guarded:
                continue
            found = algebra.make("log_ratio", difference, below)
        return beside(algebra, constant, without(terms, a, b), c, found)
    return None


def _odds(algebra: Algebra, value: Value) -> Value | None:
    """``log(p) - log(1 - p)``."""
    constant, terms = algebra.terms(value)
    for a, b, c in _pairs(terms):
        if a.op != "log" or b.op != "log":
            continue
        p = a.args[0]
        if any(term.op in _WITH_LOGARITHMS for one in (a, b) for term in algebra.terms(one.args[0])[1]):
            continue  # each logarithm has a form of its own
        if algebra.terms(b.args[0]) == (1.0, {p: -1.0}) and not is_guarded(p):
            return beside(algebra, constant, without(terms, a, b), c, algebra.make("logit", p))
    return None


def _is_spelled_log1p(value: Value) -> bool:
    """Whether it is the user who has written ``log1p``."""
    call = call_of(value.node) if value.node is not None else None
    return call is not None and call.name == "log1p" and not is_marked_as_stable(call.node)


def _exponentials(algebra: Algebra, value: Value) -> Value | None:
    constant, terms = algebra.terms(value)
    for a, b, c in _pairs(terms):
        if a.op != "exp" or b.op != "exp":
            continue
        x, y = a.args[0], b.args[0]
        if x is algebra.negative(y):
            return beside(algebra, constant, without(terms, a, b), 2 * c, algebra.make("sinh", x))
        difference = _simpler(algebra, x, y)
        if difference is not None and not is_shifted(x):
            found = algebra.times(b, algebra.make("expm1", difference))
            return beside(algebra, constant, without(terms, a, b), c, found)
    return None


def sigmoid_difference(algebra: Algebra, a: Value, b: Value) -> Value:
    """``sigmoid(a) - sigmoid(b)`` as a product."""
    noted, algebra.cancelled = algebra.cancelled, None
    gap = algebra.minus(b, a)
    algebra.cancelled = noted
    known = gap.number
    rest = algebra.make("one_minus_exp", gap) if known is None else algebra.number(-math.expm1(known))
    return algebra.times(algebra.make("sigmoid", a), algebra.make("sigmoid", algebra.negative(b)), rest)


def _sigmoids(algebra: Algebra, value: Value) -> Value | None:
    constant, terms = algebra.terms(value)
    for a, b, c in _pairs(terms):
        if a.op == b.op == "sigmoid" and _simpler(algebra, a.args[0], b.args[0]) is not None:
            found = sigmoid_difference(algebra, a.args[0], b.args[0])
            return beside(algebra, constant, without(terms, a, b), c, found)
    return None


def _sigmoids_far_out(algebra: Algebra, value: Value) -> Value | None:
    constant, terms = algebra.terms(value)
    for a, b, c in _pairs(terms):
        if a.op == b.op == "sigmoid":
            found = algebra.make("sigmoid_gap", a.args[0], b.args[0])
            return beside(algebra, constant, without(terms, a, b), c, found)
    return None


def _tails(algebra: Algebra, value: Value) -> Value | None:
    """``erfc(x) - erfc(y)`` and ``erf(y) - erf(x)``."""
    constant, terms = algebra.terms(value)
    for a, b, c in _pairs(terms):
        if a.op == b.op and a.op in ("erf", "erfc"):
            x, y = (a, b) if a.op == "erfc" else (b, a)
            found = algebra.make("erfc_difference", x.args[0], y.args[0])
            return beside(algebra, constant, without(terms, a, b), c, found)
    return None


def _log_softmax(algebra: Algebra, value: Value) -> Value | None:
    """``x - log(sum(exp(x)))``."""
    constant, terms = algebra.terms(value)
    for term, c in terms.items():
        total = term.args[0] if term.op == "log" else None
        if total is None or total.op != "sum" or total.args[0].op != "exp":
            continue
        exponent = total.args[0].args[0]
        if not is_shifted(exponent) and algebra.linear(constant, without(terms, term)) is algebra.scale(exponent, -c):
            return algebra.scale(algebra.make("log_softmax", exponent, total.args[1]), -c)
    return None


def _chosen_log_softmax(algebra: Algebra, value: Value) -> Value | None:
    """``x[:, 0] - log(sum(exp(x), 1))``."""
    constant, terms = algebra.terms(value)
    for term, c in terms.items():
        found = _log_sum_exp(term)
        if found is None or is_shifted(found[0]):
            continue
        exponent, dims, dropped = found
        factor, x = scaled(exponent)
        for shown, other in terms.items():
            if shown.op == "move" and shown.args[0] is x and math.isclose(other, -c * factor, rel_tol=1e-12):
                movement = shown.args[1]
                if x.shape is not None and _chooses_along(movement, len(x.shape), dims, dropped=dropped):
                    chosen = algebra.make("move", algebra.make("log_softmax", exponent, dims), movement)
                    return beside(algebra, constant, without(terms, term, shown), -c, chosen)
    return None


def _log_sum_exp(value: Value) -> tuple[Value, tuple[int, ...], bool] | None:
    """``x``, the dimensions, and whether they are dropped, of ``log(sum(exp(x)))``."""
    dropped = value.op == "squeeze"
    inner = value.args[0] if dropped else value
    found = None
    if inner.op == "log_sum_exp":
        found = inner.args
    elif inner.op == "log":
        total = inner.args[0]
        if total.op == "squeeze" and not dropped:
            dropped, value, total = True, total, total.args[0]
        if total.op == "sum" and total.args[0].op == "exp":
            found = total.args[0].args[0], total.args[1]
    if found is None or (dropped and value.args[1] != found[1]):
        return None
    return found[0], found[1], dropped


def _chooses_along(movement: Movement, rank: int, dims: tuple[int, ...], *, dropped: bool) -> bool:
    """Whether each element that is shown stands in the row of ``dims`` that it is shown in."""
    call = call_of(movement.node)
    if call is None or len(dims) != 1:
        return False
    (dim,) = dims
    if call.name in ("select", "gather"):
        wanted = call.get(1, "dim")
        return isinstance(wanted, int) and wanted % rank == dim and dropped == (call.name == "select")
    if call.name != "getitem" or not dropped:
        return False
    index = call.args[1] if isinstance(call.args[1], tuple) else (call.args[1],)
    if Ellipsis in index:
        at = index.index(Ellipsis)
        index = (*index[:at], *[slice(None)] * (rank - len(index) + 1), *index[at + 1 :])
    return all(isinstance(i, int) if d == dim else i == slice(None) for d, i in enumerate(index)) and dim < len(index)


def _perfect_square(algebra: Algebra, value: Value) -> Value | None:
    """``x^2 + y^2 - 2 x y``, and the same of sums."""
    constant, terms = algebra.terms(value)
    for mixed, twice in terms.items():
        inside = mixed.args[0] if mixed.op in ("sum", "mean") else mixed
        pair = _pair_of_factors(algebra, inside) if inside.op == "product" else None
        if pair is None or pair[1] is pair[2]:
            continue
        _, x, y = pair
        squares = [algebra.power(one, 2) for one in (x, y)]
        if inside is not mixed:
            if x.shape is None or y.shape is None or not torch_internals.same_shape(x.shape, y.shape):
                continue
            squares = [algebra.make(mixed.op, one, mixed.args[1]) for one in squares]
        c = abs(twice) / 2
        if any(terms.get(square) != c for square in squares):
            continue
        found = algebra.power(algebra.add((1.0, x), (math.copysign(1.0, twice), y)), 2)
        found = found if inside is mixed else algebra.make(mixed.op, found, mixed.args[1])
        return beside(algebra, constant, without(terms, mixed, *squares), c, found)
    return None


DIFFERENCES = (
    Rule("x - log(sum(exp(x))) -> log_softmax", "linear", _log_softmax, "the same x", "the definition", "x > 88"),
    Rule(
        "x[:, i] - log(sum(exp(x))) -> log_softmax(x)[:, i]",
        "linear",
        _chosen_log_softmax,
        "what is chosen stands in the row that is summed",
        "the definition, for every element of a row",
        "x > 88; |x| far above the spread",
    ),
    Rule(
        "a^2 + b^2 - 2 a b -> (a - b)^2",
        "linear",
        _perfect_square,
        "the same factor, and of sums the same shapes",
        "the first and second binomial formulas",
        "a near b",
    ),
    *MOMENTS,
    *REMAINDERS,
    *COMPLEMENTS,
    *NEAR_ONE,
    Rule(
        "exp(a) - exp(b) -> exp(b) expm1(a - b), sinh",
        "linear",
        _exponentials,
        "a - b is simpler than a and b, or a = -b",
        "exp(a) = exp(b) exp(a - b)",
        "a near b",
        tried_beside=True,
    ),
    Rule(
        "mean(x y) - mean(x) mean(y) -> mean((x - mean(x)) (y - mean(y)))",
        "linear",
        _variance,
        "the same dimensions",
        "Koenig and Huygens",
        "a mean far above the spread",
    ),
    Rule(
        "sqrt(a) - sqrt(b) -> (a - b) / (sqrt(a) + sqrt(b))",
        "linear",
        _roots,
        "a - b is simpler than a and b",
        "the third binomial formula",
        "a near b",
        tried_beside=True,
    ),
    Rule(
        "sigmoid(a) - sigmoid(b) -> sigmoid(a) sigmoid(-b) (1 - exp(b - a))",
        "linear",
        _sigmoids,
        "a - b is simpler than a and b",
        "one denominator",
        "a, b > 17",
        tried_beside=True,
    ),
    Rule(
        "sigmoid(a) - sigmoid(b) -> sigmoid(-b) - sigmoid(-a) where both are above 0",
        "linear",
        _sigmoids_far_out,
        "equal factors",
        "sigmoid(x) = 1 - sigmoid(-x)",
        "a, b > 17",
        tried=True,
    ),
    Rule(
        "erfc(x) - erfc(y) -> erfc(-y) - erfc(-x) where both are below 0",
        "linear",
        _tails,
        "equal factors",
        "erf is odd",
        "x, y < -4",
        tried_beside=True,
    ),
    Rule(
        "1/a - 1/b -> (b - a) / (a b)",
        "linear",
        _reciprocals,
        "b - a is simpler than a and b",
        "one denominator",
        "a near b",
        tried_beside=True,
    ),
    Rule(
        "1/sqrt(a) - 1/sqrt(b) -> (b - a) / (sqrt(a) sqrt(b) (sqrt(a) + sqrt(b)))",
        "linear",
        _reciprocal_roots,
        "b - a is simpler than a and b",
        "one denominator, and the third binomial formula",
        "a near b",
        tried_beside=True,
    ),
    Rule(
        "log(p) - log(1 - p) -> logit(p)",
        "linear",
        _odds,
        "no bound of the user's keeps p from 0",
        "the definition",
        "p near 1/2",
        tried=True,
    ),
    Rule(
        "log(a) - log(b) -> log1p((a - b) / b)",
        "linear",
        _logarithms,
        "a - b is simpler than a and b",
        "log(a) - log(b) = log(1 + (a - b) / b), for b > 0",
        "a near b",
        tried_beside=True,
    ),
    Rule(
        "a^2 - b^2 -> (a - b) (a + b)",
        "linear",
        _two_squares,
        "two squares by themselves",
        "the third binomial formula",
        "|a| near |b|",
        tried_beside=True,
    ),
    Rule(
        "a^2 - b^2 beside others, 1 - a^2 -> (a - b) (a + b)",
        "linear",
        _squares,
        "even powers, or one and a number with an exact root",
        "the third binomial formula",
        "|a| near |b|",
        tried=True,
    ),
)
