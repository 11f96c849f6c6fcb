"""Quotients of sums of exponentials of any kind: each sum is exp(m) times one whose largest exponential is 1.

    exp(x) / (1 + sum(exp(x)))                    exp(x - m) / (exp(-m) + sum(exp(x - m))),  m = max(0, max(x))
    (v exp(a) + w exp(b)) / (exp(a) + exp(b))     the same of a - m and b - m
    sum(exp(x)) ** 2 / sum(exp(2 x))              exp(2 m - n) sum(exp(x - m)) ** 2 / sum(exp(2 x - n))

The identity holds for every m, so m is a constant to autograd. What cancels of the m's cancels exactly.
The quotients that have a name (softmax, sigmoid) are those of ``quotients.py``, which are asked first.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

from tessera.backend.stability.algebra import Algebra, Value, scaled
from tessera.backend.stability.facts import is_nonnegative, is_shifted
from tessera.backend.stability.rule import Rule
from tessera.backend.stability.rules.logarithms import logarithm

DEEPEST = 6


@dataclass(frozen=True)
class _Exponential:
    """One that is added up: its exponent, its weight (if it has one), and the dimensions it is summed over."""

    exponent: Value
    weight: Value | None
    dims: tuple[int, ...]


def _exponentials(algebra: Algebra, value: Value, depth: int = 0) -> list[_Exponential] | None:
    """Those that ``value`` is a sum of, with weights; None where it is something else."""
    if (exponent := _exponent(algebra, value)) is not None:
        return [_Exponential(exponent, None, ())]
    if value.op == "product":
        return _weighted(algebra, value)
    if value.op in ("sum", "mean"):
        inner = _exponentials(algebra, value.args[0], depth + 1) or []
        found = [_Exponential(one.exponent, one.weight, value.args[1]) for one in inner if not one.dims]
        return found if found and len(found) == len(inner) else None
    return _added(algebra, value, depth) if value.op == "linear" and depth < DEEPEST else None


def _added(algebra: Algebra, value: Value, depth: int) -> list[_Exponential] | None:
    """Those of a sum, of which a constant is one too; what cancels is another rule's."""
    constant, terms = algebra.terms(value)
    each = [_exponentials(algebra, term, depth + 1) for term in terms]
    if constant < 0 or min(terms.values()) <= 0 or not all(each):
        return None
    found = [one for inner in each for one in inner or []]
    return [*found, _Exponential(algebra.number(0), None, ())] if constant else found


def _exponent(algebra: Algebra, value: Value) -> Value | None:
    """The logarithm of an exponential, and of what is one: sigmoids, softmaxes, and what is shown of them."""
    if value.op == "exp":
        return value.args[0]
    inner = value.args[0] if value.op == "move" else value
    return logarithm(algebra, value) if inner.op in ("sigmoid", "softmax") else None


def _parted(algebra: Algebra, value: Value) -> tuple[Value | None, dict[Value, float]]:
    """A product as the exponent of its exponentials and its other factors."""
    logs = {base: log for base, _ in value.args[0] if (log := _exponent(algebra, base)) is not None}
    rest = {base: e for base, e in value.args[0] if base not in logs}
    return (algebra.add(*((e, logs[base]) for base, e in value.args[0] if base in logs)) if logs else None), rest


def _weighted(algebra: Algebra, value: Value) -> list[_Exponential] | None:
    """``w exp(x)``, where w is no exponential."""
    exponent, rest = _parted(algebra, value)
    if exponent is None:
        return None
    return [_Exponential(exponent, algebra.product(1.0, rest) if rest else None, ())]


def _below(algebra: Algebra, value: Value, peak: Value) -> Value:
    """``value / exp(peak)``."""
    if (exponent := _exponent(algebra, value)) is not None:
        return algebra.make("exp", algebra.minus(exponent, peak))
    if value.op == "product":
        exponent, rest = _parted(algebra, value)
        if exponent is not None and not rest:
            return algebra.make("exp", algebra.minus(exponent, peak))
        return algebra.product(1.0, {**rest, algebra.make("exp_below", exponent, peak): 1.0})
    if value.op in ("sum", "mean"):
        found = algebra.make(value.op, _below(algebra, value.args[0], peak), value.args[1])
        found.shape = value.shape
        return found
    constant, terms = algebra.terms(value)
    parts = [(c, _below(algebra, term, peak)) for term, c in terms.items()]
    if constant:
        parts.append((constant, algebra.make("exp", algebra.negative(peak))))
    return algebra.add(*parts)


def _needs_it(each: list[_Exponential]) -> bool:
    """Whether their sum can leave the range: none is shifted, and beside a constant one can be above 0."""
    if any(is_shifted(one.exponent) for one in each):
        return False
    constant = any(one.exponent.number is not None for one in each)
    return not constant or not all(_is_at_most_0(one.exponent) for one in each)


def _is_at_most_0(value: Value) -> bool:
    if value.number is not None:
        return value.number <= 0
    if value.op == "linear":
        each = (is_nonnegative(term) if c < 0 else _is_at_most_0(term) for term, c in value.args[1])
        return value.args[0] <= 0 and all(each)
    return value.op in ("log_sigmoid", "log_softmax") or (value.op == "move" and _is_at_most_0(value.args[0]))


def _peak(algebra: Algebra, each: list[_Exponential]) -> Value | None:
    """The largest exponent, in the shape of the sum; None where what is summed and what is not do not meet."""
    dims = {one.dims for one in each if one.dims}
    if len(dims) > 1:
        return None
    for one in each:
        if dims and not one.dims and one.exponent.number is None and not _is_one_wide(one.exponent, *dims):
            return None
    flat = itertools.chain.from_iterable((one.exponent, one.weight or algebra.number(1), one.dims) for one in each)
    return algebra.make("peak", *flat)


def _is_one_wide(value: Value, dims: tuple[int, ...]) -> bool:
    return value.shape is not None and all(d < len(value.shape) and _is_one(value.shape[d]) for d in dims)


def _is_one(size: Any) -> bool:
    return isinstance(size, int) and size == 1


def _rescaled(algebra: Algebra, value: Value) -> Value | None:
    number, factors = algebra.factors(value)
    sums = {base: each for base in factors if (each := _sum_of_exponentials(algebra, base))}
    below = {scaled(one.exponent)[1] for base, each in sums.items() if factors[base] < 0 for one in each}
    above = {scaled(one.exponent)[1] for base, each in sums.items() if factors[base] > 0 for one in each}
    alone = {scaled(log)[1] for base in factors if (log := _exponent(algebra, base)) is not None}
    if not below or not above | alone <= below:  # what has nothing in common with what it is divided by is as it is
        return None
    new, exponents, peaks = dict[Value, float](), list[tuple[float, Value]](), list[tuple[set[Any], Value]]()
    for base, e in sorted(factors.items(), key=lambda item: item[1]):  # what is divided by comes first
        if (exponent := _exponent(algebra, base)) is not None:
            if is_shifted(exponent):
                return None
            exponents.append((e, exponent))
        elif base not in sums:
            new[base] = e
        else:
            own = {(one.exponent, one.dims) for one in sums[base]}
            peak = next((known for among, known in peaks if own <= among), None) or _peak(algebra, sums[base])
            if peak is None:
                return None
            peaks.append((own, peak))
            exponents.append((e, peak))
            new[_below(algebra, base, peak)] = e
    total = algebra.add(*exponents)
    if total.number is None:
        new[algebra.make("exp", total)] = 1.0
    return algebra.product(number, new)


def _sum_of_exponentials(algebra: Algebra, base: Value) -> list[_Exponential] | None:
    """Those that ``base`` adds up, if their sum can leave the range."""
    each = _exponentials(algebra, base) if base.op in ("sum", "mean", "linear") else None
    if each is None or all(one.exponent.number is not None for one in each):
        return None
    return each if _needs_it(each) else None


RESCALED = (
    Rule(
        "a sum of exponentials under a fraction -> exp(m) times the same of x - m",
        "product",
        _rescaled,
        "a sum of exponentials is divided by, and its exponents have no maximum subtracted yet",
        "exp(x) = exp(m) exp(x - m) for every m",
        "x > 88; x < -104",
    ),
)
