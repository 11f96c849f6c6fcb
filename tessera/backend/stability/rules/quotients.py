"""Quotients of exponentials, lengths and what is divided by them.

    exp(x) / sum(exp(x))              softmax(x)         (e^x - e^-x) / (e^x + e^-x)       tanh(x)
    exp(x) / (1 + exp(x))             sigmoid(x)         sqrt(sum(x^2)), sqrt(x^2 + y^2)   scaled by the largest |x|
    x / sqrt(sum(x^2)), its square    x' / |x'|          sum(a b) / (|a| |b|)              sum(a' b'), with a' = a / |a|

A length has the gradient 0 at 0, as torch.norm has, and so have a direction and a cosine there, with the value 0 of
torch.nn.functional's. Squares do not overflow and do not vanish, for x is divided by its largest element first.
"""

from __future__ import annotations

import math

from tessera.backend.stability.algebra import Algebra, Value
from tessera.backend.stability.facts import is_nonnegative, is_scaled, is_shifted
from tessera.backend.stability.rule import Rule
from tessera.backend.stability.rules.differences import DIFFERENCES, count_of

REGULARISER = 1e-2  # a smaller number under a root is there to keep it from 0, and the user's choice


def _rest(factors: dict[Value, float], *gone: Value) -> dict[Value, float]:
    return {base: e for base, e in factors.items() if base not in gone}


def _with(algebra: Algebra, number: float, rest: dict[Value, float], *found: tuple[Value, float]) -> Value:
    """The product of ``found`` and what stays beside it."""
    total = dict(rest)
    for base, exponent in found:
        total[base] = total.get(base, 0.0) + exponent
    return algebra.product(number, total)


def _softmax(algebra: Algebra, value: Value) -> Value | None:
    found = quotient_as_softmax(algebra, value)
    return None if found is None or any(is_shifted(v.args[0]) for v in _softmaxes(found)) else found


def _softmaxes(value: Value) -> list[Value]:
    return [value] if value.op == "softmax" else [v for v in value.parts() if v.op == "softmax"]


def quotient_as_softmax(algebra: Algebra, value: Value) -> Value | None:
    """``exp(x) / sum(exp(x))``, and what it is multiplied by."""
    number, factors = algebra.factors(value)
    for total, e in factors.items():
        if total.op != "sum" or e != -1 or total.args[0].op != "exp":
            continue
        exponential = total.args[0]
        if factors.get(exponential) == 1:
            found = algebra.make("softmax", exponential.args[0], total.args[1])
            return _with(algebra, number, _rest(factors, total, exponential), (found, 1.0))
    return None


def _weighted_softmax(algebra: Algebra, value: Value) -> Value | None:
    number, factors = algebra.factors(value)
    for total, e in factors.items():
        if total.op != "sum" or e != -1 or total.args[0].op != "product":
            continue
        inside = dict(total.args[0].args[0])
        if not all(factors.get(base) == power for base, power in inside.items()):
            continue
        exponentials = [base for base, power in inside.items() if base.op == "exp" and power == 1]
        if len(exponentials) == 1 and not is_shifted(exponentials[0].args[0]):
            weight = algebra.product(1.0, _rest(inside, exponentials[0]))
            found = algebra.make("weighted_softmax", exponentials[0].args[0], weight, total.args[1])
            return _with(algebra, number, _rest(factors, total, *inside), (found, 1.0))
    return None


def _expected(algebra: Algebra, value: Value) -> Value | None:
    """``sum(v exp(x)) / sum(exp(x))``."""
    number, factors = algebra.factors(value)
    for below, e in factors.items():
        if below.op != "sum" or e != -1 or below.args[0].op != "exp" or is_shifted(below.args[0].args[0]):
            continue
        exponential, dims = below.args
        for above, power in factors.items():
            inside = dict(above.args[0].args[0]) if above.op == "sum" and above.args[0].op == "product" else {}
            if power != 1 or inside.pop(exponential, 0) != 1 or above.args[1] != dims or above.shape is None:
                continue
            if below.shape is None or len(above.shape) != len(below.shape):
                continue
            weights = algebra.make("softmax", exponential.args[0], dims)
            found = algebra.make("sum", algebra.product(1.0, {**inside, weights: 1.0}), dims)
            return _with(algebra, number, _rest(factors, below, above), (found, 1.0))
    return None


def _share(algebra: Algebra, value: Value) -> Value | None:
    """``exp(x) / (a exp(x) + b exp(y) + c exp(z))``, with as many terms as there are; a constant is a term too."""
    number, factors = algebra.factors(value)
    for below, e in factors.items():
        if below.op != "linear" or e != -1:
            continue
        constant, terms = algebra.terms(below)
        if min(constant, *terms.values()) < 0 or not all(term.op == "exp" for term in terms):
            continue
        exponents = [term.args[0] for term in terms]
        if any(map(is_shifted, exponents)) or (
            constant and all(is_nonnegative(algebra.negative(x)) for x in exponents)
        ):
            continue
        above = [base for base in factors if base.op == "exp"] or [algebra.make("exp", algebra.number(0))]
        weights = (*terms.values(), *([constant] if constant else []))
        exponents += [algebra.number(0)] if constant else []
        if len(exponents) < 3 or above[0].args[0] not in exponents:
            continue
        found = algebra.make("share", exponents.index(above[0].args[0]), weights, *exponents)
        return _with(algebra, number, _rest(factors, below, *above), (found, 1.0))
    return None


def _two_exponentials(algebra: Algebra, value: Value) -> list[tuple[Value, float]] | None:
    """Exponents and factors of ``a exp(x) + b exp(y)``, where a constant is one with the exponent 0."""
    constant, terms = algebra.terms(value)
    items = [(term.args[0], c) for term, c in terms.items() if term.op == "exp"]
    if len(items) < len(terms):
        return None
    if constant:
        items.append((algebra.number(0), constant))
    return items if len(items) == 2 and not any(is_shifted(x) for x, _ in items) else None


def _sigmoid(algebra: Algebra, value: Value) -> Value | None:
    number, factors = algebra.factors(value)
    for base, e in factors.items():
        items = _two_exponentials(algebra, base) if base.op == "linear" else None
        if items is None or e >= 0 or e % 1 or min(c for _, c in items) <= 0:
            continue
        (x, a), (y, b) = items
        if y.number == 0 and is_nonnegative(algebra.negative(x)):
            continue  # 1 + (what is at most 1) neither overflows nor vanishes
        if (mixed := _mixture(algebra, items, base, factors)) is not None:
            return _with(algebra, number, _rest(factors, base, mixed[0]), (mixed[1], 1.0))
        exponentials = [other for other in factors if other.op == "exp"]
        above = exponentials[0].args[0] if exponentials else algebra.number(0)
        times = int(-e)
        for first in range(times + 1):
            if above is not algebra.add((first, x), (times - first, y)):
                continue
            gap = algebra.add((1.0, x), (-1.0, y), (1.0, algebra.number(math.log(a / b))))
            found = [
                (algebra.make("sigmoid", gap), float(first)),
                (algebra.make("sigmoid", algebra.negative(gap)), float(times - first)),
            ]
            number /= a**first * b ** (times - first)
            return _with(algebra, number, _rest(factors, base, *exponentials), *(f for f in found if f[1]))
    return None


def _odds(algebra: Algebra, value: Value) -> Value | None:
    """``sigmoid(x) / sigmoid(-x)``."""
    number, factors = algebra.factors(value)
    for above, e in factors.items():
        below = algebra.make("sigmoid", algebra.negative(above.args[0])) if above.op == "sigmoid" and e > 0 else None
        if below is not None and factors.get(below) == -e:
            found = algebra.make("exp", algebra.scale(above.args[0], e))
            return _with(algebra, number, _rest(factors, above, below), (found, 1.0))
    return None


def _mixture(
    algebra: Algebra, below: list[tuple[Value, float]], base: Value, factors: dict[Value, float]
) -> tuple[Value, Value] | None:
    """``(c exp(x) + d exp(y)) / (a exp(x) + b exp(y))``, which is a mean of ``c / a`` and ``d / b``."""
    for above, e in factors.items():
        other = _two_exponentials(algebra, above) if above.op == "linear" and above is not base and e == 1 else None
        if other is None or factors[base] != -1 or {x for x, _ in other} != {x for x, _ in below}:
            continue
        (x, a), (y, b) = below
        weights = dict(other)
        gap = algebra.add((1.0, x), (-1.0, y), (1.0, algebra.number(math.log(a / b))))
        first, second = algebra.make("sigmoid", gap), algebra.make("sigmoid", algebra.negative(gap))
        return above, algebra.make("mixture", first, second, weights[x] / a, weights[y] / b)
    return None


def _tanh(algebra: Algebra, value: Value) -> Value | None:
    number, factors = algebra.factors(value)
    for below, e in factors.items():
        items = _two_exponentials(algebra, below) if below.op == "linear" and abs(e) == 1 else None
        if items is None or items[0][1] != items[1][1]:
            continue
        for above, power in factors.items():
            other = _two_exponentials(algebra, above) if above.op == "linear" and power == -e else None
            if other is None or {x for x, _ in other} != {x for x, _ in items} or other[0][1] != -other[1][1]:
                continue
            (x, c), (y, _) = other
            found = algebra.make("tanh", algebra.scale(algebra.minus(x, y), 0.5))
            return _with(algebra, number * (c / items[0][1]) ** power, _rest(factors, above, below), (found, power))
    return None


def _length(algebra: Algebra, base: Value, exponent: float) -> tuple[Value, float, tuple[int, ...], str] | None:
    """``x``, the power of its length, its dimensions and how squares are put together, of ``sum(x^2) ** (e / 2)``."""
    if base.op == "norm":
        return base.args[0], exponent, base.args[1], "norm"
    if base.op not in ("sum", "mean") or exponent % 1 != 0.5:
        return None
    squares = base.args[0]
    if squares.op != "product" or not all(e % 2 == 0 for _, e in squares.args[0]):
        return None
    x = algebra.product(1.0, {b: e / 2 for b, e in squares.args[0]})
    return x, 2 * exponent, base.args[1], "norm" if base.op == "sum" else "root_mean_square"


def _direction(algebra: Algebra, value: Value) -> Value | None:
    number, factors = algebra.factors(value)
    for base, e in factors.items():
        times = 2 if e == -1 and base.op in ("sum", "mean") else 1  # of x^2 / sum(x^2)
        length = _length(algebra, base, e / times)
        if length is None or length[1] != -1:
            continue
        x, _, dims, kind = length
        _, wanted = algebra.factors(x)
        if wanted and all(factors.get(b) == power * times for b, power in wanted.items()):
            found = algebra.make("normalise" if kind == "norm" else "normalise_by_mean", x, dims)
            factor = algebra.factors(x)[0] ** times
            return _with(algebra, number / factor, _rest(factors, base, *wanted), (found, float(times)))
    return None


def _cosine(algebra: Algebra, value: Value) -> Value | None:
    number, factors = algebra.factors(value)
    lengths = {base: _length(algebra, base, e) for base, e in factors.items()}
    below = {base: one for base, one in lengths.items() if one is not None and one[1] == -1 and one[3] == "norm"}
    for total, e in factors.items():
        if total.op != "sum" or e != 1 or len(below) < 2:
            continue
        for first, (a, _, dims, _) in below.items():
            for second, (b, _, others, _) in below.items():
                same = _from_the_end(first) == _from_the_end(second) == _from_the_end(total)
                if first is second or not same or algebra.times(a, b) is not total.args[0]:
                    continue
                found = algebra.make("cosine", a, dims, b, others, total.args[1])
                return _with(algebra, number, _rest(factors, total, first, second), (found, 1.0))
    return None


def _from_the_end(reduced: Value) -> tuple[int, ...]:
    """The dimensions of a reduction, counted from the last one, as they meet others."""
    rank = len(reduced.shape) if reduced.shape is not None else 0
    return tuple(d - rank for d in reduced.args[1])


def _norm(algebra: Algebra, value: Value) -> Value | None:
    number, factors = algebra.factors(value)
    for base, e in factors.items():
        length = _length(algebra, base, e) if base.op != "norm" else None
        if length is not None and abs(length[1]) == 1 and not is_scaled(length[0]):
            x, power, dims, kind = length
            return _with(algebra, number, _rest(factors, base), (algebra.make(kind, x, dims), power))
    return None


def _tail(algebra: Algebra, value: Value) -> Value | None:
    """``exp(-x^2) / erfc(x)``, the inverse of Mills' ratio."""
    number, factors = algebra.factors(value)
    for below, e in factors.items():
        if below.op != "erfc" or e != -1:
            continue
        square = algebra.terms(algebra.power(below.args[0], 2))
        for above, power in factors.items():
            exponent = algebra.terms(above.args[0]) if above.op == "exp" and power == 1 else None
            if exponent is None or exponent[0] or square[0] or exponent[1].keys() != square[1].keys():
                continue
            if all(math.isclose(-c, square[1][term], rel_tol=1e-9) for term, c in exponent[1].items()):
                found = algebra.make("inverse_erfcx", below.args[0])
                return _with(algebra, number, _rest(factors, below, above), (found, 1.0))
    return None


def _power_norm(algebra: Algebra, value: Value) -> Value | None:
    """``sum(x ** p) ** (1 / p)``."""
    number, factors = algebra.factors(value)
    for base, e in factors.items():
        if base.op not in ("sum", "mean") or base.args[0].op != "product" or len(base.args[0].args[0]) != 1:
            continue
        ((x, power),) = base.args[0].args[0]
        if power > 1 and power != 2 and math.isclose(abs(e) * power, 1.0, rel_tol=1e-9) and not is_scaled(x):
            kind = "power_norm" if base.op == "sum" else "power_mean"
            found = algebra.make(kind, x, base.args[1], power)
            return _with(algebra, number, _rest(factors, base), (found, math.copysign(1.0, e)))
    return None


def _deviation(algebra: Algebra, value: Value) -> Value | None:
    """The root of ``mean(x^2) - mean(x)^2``."""
    number, factors = algebra.factors(value)
    for base, e in factors.items():
        found = VARIANCE.find(algebra, base) if base.op == "linear" and abs(e) == 0.5 else None
        if found is None:
            continue
        factor, inner = algebra.factors(found)
        if len(inner) != 1 or factor <= 0 or set(inner.values()) != {1.0}:
            continue
        (moment,) = inner
        if moment.op not in ("variance", "squared_deviations"):
            continue
        x, dims = moment.args
        mean = algebra.make("mean", x, dims)
        kind = "root_mean_square" if moment.op == "variance" else "norm"
        length = algebra.make(kind, algebra.minus(x, mean), dims)
        return _with(algebra, number * factor**e, _rest(factors, base), (length, 2 * e))
    return None


def _hypot(algebra: Algebra, value: Value) -> Value | None:
    number, factors = algebra.factors(value)
    for base, e in factors.items():
        if base.op != "linear" or abs(e) != 0.5:
            continue
        constant, terms = algebra.terms(base)
        if constant < 0 or (0 < constant < REGULARISER) or min(terms.values()) <= 0 or len(terms) > 4:
            continue
        sides = []
        for term, c in terms.items():
            side = _side(algebra, term)
            sides.append(side and algebra.scale(side, math.sqrt(c)))
        if not all(sides) or len(sides) + bool(constant) < 2 or all(is_scaled(side) for side in sides if side):
            continue
        level = (math.sqrt(constant),) if constant else ()
        found = algebra.make("hypot", *(side for side in sides if side), *level)
        return _with(algebra, number, _rest(factors, base), (found, 2 * e))
    return None


def _side(algebra: Algebra, term: Value) -> Value | None:
    if term.op == "product" and all(e % 2 == 0 for _, e in term.args[0]):
        return algebra.product(1.0, {b: e / 2 for b, e in term.args[0]})
    if (length := _length(algebra, term, 0.5)) is not None and term.op != "norm":
        return algebra.make(length[3], length[0], length[2])
    return None


def length_of(algebra: Algebra, root: Value) -> Value | None:
    """What the root of a sum of squares is in a stable form."""
    return _norm(algebra, root) or _hypot(algebra, root)


def _geometric_mean(algebra: Algebra, value: Value) -> Value | None:
    number, factors = algebra.factors(value)
    for base, e in factors.items():
        if base.op == "prod" and e % 1:
            if is_nonnegative(base.args[0]) and base.args[0].op != "abs":
                return None
            count = count_of(base)
            by_roots = count is not None and 0 < e * count < 1 + 1e-9
            found = algebra.make("product_of_powers" if by_roots else "power_of_prod", *base.args, e)
            return _with(algebra, number, _rest(factors, base), (found, 1.0))
    return None


VARIANCE = next(rule for rule in DIFFERENCES if rule.name.startswith("mean(x y)"))

QUOTIENTS = (
    Rule("exp(x) / sum(exp(x)) -> softmax", "product", _softmax, "the same x", "the definition", "x > 88; x < -104"),
    Rule(
        "w exp(x) / sum(w exp(x)) -> the same of x - max(x)",
        "product",
        _weighted_softmax,
        "the same x and w",
        "exp(-m) cancels",
        "x > 88; x < -104",
    ),
    Rule(
        "(e^x - e^y) / (e^x + e^y) -> tanh((x - y) / 2)",
        "product",
        _tanh,
        "the same x and y",
        "divide both by exp((x + y) / 2)",
        "x > 88; x near y",
        tried=True,
    ),
    Rule(
        "exp(x) / (exp(x) + exp(y)) -> sigmoid(x - y)",
        "product",
        _sigmoid,
        "the numerator is made of the denominator's exponentials",
        "divide both by the numerator",
        "x > 88; x, y < -104",
    ),
    Rule(
        "sigmoid(x) / sigmoid(-x) -> exp(x)",
        "product",
        _odds,
        "the same power above and below",
        "the logistic function is that of which x is the log of the odds",
        "|x| > 44, where the gradient's square of sigmoid(-x) vanishes",
    ),
    Rule(
        "exp(x) / (exp(x) + exp(y) + exp(z)) -> the same of x - m, y - m, z - m",
        "product",
        _share,
        "three terms or more",
        "exp(-m) cancels",
        "x > 88; x, y, z < -104",
    ),
    Rule(
        "sum(v exp(x)) / sum(exp(x)) -> sum(v softmax(x))",
        "product",
        _expected,
        "the same x and dimensions",
        "the divisor is the same for all that is added",
        "x > 88; x < -104",
    ),
    Rule(
        "sum(a b) / (|a| |b|) -> cosine",
        "product",
        _cosine,
        "the same a, b and dimensions",
        "a scaled by a number has the same direction",
        "squares that overflow or vanish; a = 0",
    ),
    Rule(
        "x / |x| -> x' / |x'|, x' = x / max|x|",
        "product",
        _direction,
        "the same x",
        "a scaled by a number has the same direction",
        "squares that overflow or vanish; x = 0",
    ),
    Rule(
        "sqrt(mean(x^2) - mean(x)^2) -> root mean square of x - mean(x)",
        "product",
        _deviation,
        "the same dimensions",
        "Koenig and Huygens",
        "a mean far above the spread; no spread",
    ),
    Rule(
        "sqrt(sum(x^2)) -> norm(x)",
        "product",
        _norm,
        "",
        "|c x| = |c| |x|, with c = 1 / max|x|",
        "squares that overflow or vanish; x = 0",
    ),
    Rule(
        "exp(-x^2) / erfc(x) -> by the continued fraction of erfc for x > 3",
        "product",
        _tail,
        "the same x",
        "Laplace's continued fraction",
        "x > 9, where both vanish",
    ),
    Rule(
        "sum(x ** p) ** (1 / p) -> the same of x / max|x|",
        "product",
        _power_norm,
        "p > 1",
        "|c x| = |c| |x|, with c = 1 / max|x|",
        "powers that overflow or vanish; x = 0",
    ),
    Rule(
        "sqrt(x^2 + y^2) -> hypot(x, y)",
        "product",
        _hypot,
        "a constant under the root is no regulariser",
        "|c x| = |c| |x|, with c = 1 / max(|x|, |y|)",
        "squares that overflow or vanish; x = y = 0",
    ),
    Rule(
        "prod(x) ** c -> exp(c sum(log|x|))",
        "product",
        _geometric_mean,
        "c is no whole number",
        "log(ab) = log(a) + log(b); a negative product has no such power",
        "factors whose product overflows or vanishes",
    ),
)
