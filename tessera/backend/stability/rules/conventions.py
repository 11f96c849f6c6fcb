"""What floating point has no answer for and the field has one: 0 log 0 is 0, a row that sees nothing has no weights.

    p * log(p), p = 0                   0, with the gradient 0              as in information theory
    sum(y * log(p)), y = p = 0          0                                   as torch.xlogy
    y log(p) + (1 - y) log(1 - p)       0 where y and p are both 0 or 1     binary cross-entropy
    softmax of a row of -inf            zeros, with the gradient 0          as torch's attention

A logarithm stays what it is wherever its factor is not 0, and so does a product that is neither an entropy nor summed.
"""

from __future__ import annotations

import math

from tessera.backend.stability.algebra import Algebra, Value
from tessera.backend.stability.facts import is_clamped_above, is_positive, leaves_the_first
from tessera.backend.stability.rule import Rule
from tessera.backend.stability.rules.logarithms import logarithm
from tessera.backend.stability.spelling import example

REGULARISER = 1e-2  # a smaller number beside what a logarithm is taken of is the user's own guard
_OPAQUE = ("clamp", "clamp_min", "clip", "maximum", "nan_to_num")


def _weighted_log(algebra: Algebra, value: Value, *, entropy: bool) -> Value | None:
    """``y * log(p)`` with the logarithm kept from 0 where ``y`` is 0; for an ``entropy``, y is a factor of p."""
    number, factors = algebra.factors(value)
    for log, e in factors.items():
        if e != 1 or log.op not in ("log", "linear"):
            continue
        inside = _logarithms(algebra, log)
        weights = [base for base, power in factors.items() if base is not log and power == 1]
        for weight in weights if inside else ():
            among = any(weight in algebra.factors(one)[1] for one in inside)
            if is_positive(weight) or (entropy and not among) or weight.op == "log":
                continue
            if not among and weight.op not in ("leaf", "linear"):
                continue
            rest = {base: power for base, power in factors.items() if base is not log}
            kept = _kept(algebra, log, weight)
            if kept is not log:
                return algebra.product(number, {**rest, kept: 1.0})
    return None


def _logarithms(algebra: Algebra, value: Value) -> list[Value]:
    """What ``value`` takes logarithms of, if it is made of them alone: ``x - log(sum(exp(x)))`` is finite as it is."""
    _, terms = algebra.terms(value)
    return [term.args[0] for term in terms] if all(term.op == "log" for term in terms) else []


def _kept(algebra: Algebra, value: Value, weight: Value) -> Value:
    """``value``, whose logarithms are of 1 where both they are of 0 and ``weight`` is 0."""
    constant, terms = algebra.terms(value)
    new: dict[Value, float] = {}
    for term, c in terms.items():
        kept = term
        better = logarithm(algebra, term.args[0]) if term.op == "log" else None
        if term.op == "log" and better is None and _can_be_zero(algebra, term.args[0]):
            number, factors = algebra.factors(term.args[0])
            kept = algebra.make(
                "log", algebra.product(number, {algebra.make("kept", b, weight): e for b, e in factors.items()})
            )
        elif (
            better is not None
            and better.op == "log1p"
            and _is_complement(term.args[0])
            and not is_clamped_above(term.args[0].args[1][0][0])
        ):
            kept = algebra.make("log", algebra.make("kept", term.args[0], weight))
        new[kept] = new.get(kept, 0.0) + c
    return algebra.linear(constant, new)


def _can_be_zero(algebra: Algebra, value: Value) -> bool:
    _, factors = algebra.factors(value)
    return not any(is_positive(base) for base in factors) and all(_is_plain(base) for base in factors)


def _is_plain(value: Value) -> bool:
    """Whether it is nothing that the user has kept from 0 already."""
    if value.op == "kept":
        return False
    if value.op == "leaf":
        node = value.args[0]
        name = node.target if isinstance(node.target, str) else getattr(node.target, "__name__", "")
        return node.op == "placeholder" or name.rstrip("_") not in _OPAQUE
    if _is_complement(value):
        return not is_clamped_above(value.args[1][0][0])
    return value.op != "linear" or (value.args[0] == 0 and value.op != "kept")


def _is_complement(value: Value) -> bool:
    """Whether it is ``1 - p``."""
    return value.op == "linear" and value.args[0] == 1 and len(value.args[1]) == 1 and value.args[1][0][1] == -1


def _entropy(algebra: Algebra, value: Value) -> Value | None:
    return _weighted_log(algebra, value, entropy=True)


def _cross_entropy(algebra: Algebra, value: Value) -> Value | None:
    """A sum of ``y * log(p)``."""
    summed, dims = value.args
    constant, terms = algebra.terms(summed)
    if constant or len(terms) > 2:
        return None
    new = {term: _weighted_log(algebra, term, entropy=False) for term in terms}
    if not any(new.values()):
        return None
    kept = algebra.linear(0.0, {new[term] or term: c for term, c in terms.items()})
    return algebra.make(value.op, kept, dims)


def _binary_cross_entropy(algebra: Algebra, value: Value) -> Value | None:
    """``y * log(p) + (1 - y) * log(1 - p)``."""
    constant, terms = algebra.terms(value)
    if constant or len(terms) < 2:
        return None
    logs = {
        base.args[0]: term
        for term in terms
        if term.op == "product"
        for base, e in term.args[0]
        if base.op == "log" and e == 1
    }
    pairs = [(p, q) for p in logs for q in logs if _is_complement(q) and q.args[1][0][0] is p]
    if not pairs or any(one.op == "kept" for one in logs):
        return None
    weights = {one for term in logs.values() for one, e in term.args[0] if e == 1 and one.op != "log"}
    if not any(algebra.terms(one) == (1.0, {other: -1.0}) for one in weights for other in weights):
        return None  # a beta density, whose exponents have nothing to do with each other
    new = {term: _weighted_log(algebra, term, entropy=False) or term for term in terms}
    if all(term is kept for term, kept in new.items()):
        return None
    return algebra.linear(0.0, {new[term]: c for term, c in terms.items()})


def _masked_softmax(algebra: Algebra, value: Value) -> Value | None:
    scores, dims = value.args
    if len(dims) != 1 or not has_minus_infinity(scores):
        return None
    return algebra.make("safe_softmax", scores, dims)


def has_minus_infinity(value: Value) -> bool:
    """Whether -inf is filled in somewhere."""
    if value.op == "where":
        if value.args[1].number == -math.inf and leaves_the_first(value.args[0]):
            return has_minus_infinity(value.args[2])
        return any(v.number == -math.inf or has_minus_infinity(v) for v in value.args[1:])
    if value.op in ("move", "cast", "squeeze", "expand", "detach"):
        return has_minus_infinity(value.args[0])
    if value.op == "linear":
        return any(c > 0 and has_minus_infinity(term) for term, c in value.args[1])
    return value.op == "log" and bool(value.args[0].facts.get("truth"))


def _bce_of_sigmoid(algebra: Algebra, value: Value) -> Value | None:
    p, target, weight, reduction = value.args
    if p.op != "sigmoid":
        return None
    return algebra.make("bce_of_logits", p.args[0], target, weight, reduction)


def _kl_of_logarithms(algebra: Algebra, value: Value) -> Value | None:
    log_q, p, reduction = value.args
    found = logarithm(algebra, p) if p.node is None or example(p.node).requires_grad else None
    return None if found is None else algebra.make("kl_of_logarithms", log_q, found, reduction)


CONVENTIONS = (
    Rule(
        "kl_div(log q, softmax) -> sum(p (log p - log q)), log p the log_softmax",
        "kl",
        _kl_of_logarithms,
        "the logarithm of p is known, and p has a gradient",
        "the definition; 0 log(0) is 0",
        "scores 90 apart: the gradient of p log(p) at p = 0",
    ),
    Rule(
        "softmax of rows of -inf -> zeros",
        "softmax",
        _masked_softmax,
        "-inf is filled into the scores",
        "a row that sees nothing has no weights: torch's attention has zeros, and so has the empty sum",
        "a row of -inf",
    ),
    Rule(
        "binary_cross_entropy(sigmoid(x)) -> of logits",
        "bce",
        _bce_of_sigmoid,
        "",
        "log(sigmoid(x)) = -softplus(-x), log(1 - sigmoid(x)) = -softplus(x)",
        "|x| > 17",
    ),
    Rule(
        "p log(p) -> 0 where p = 0",
        "product",
        _entropy,
        "p is a factor of what the logarithm is of",
        "p log(p) tends to 0 with p",
        "p = 0",
    ),
    Rule(
        "y log(p) + (1 - y) log(1 - p) -> 0 where 0 log(0)",
        "linear",
        _binary_cross_entropy,
        "p and y are given",
        "0 log(p) is 0 for every p > 0",
        "p = y = 0; p = y = 1",
    ),
    Rule(
        "sum(y log(p)) -> 0 where y = p = 0",
        "sum",
        _cross_entropy,
        "no eps keeps p from 0",
        "0 log(p) is 0 for every p > 0",
        "y = p = 0",
    ),
    Rule(
        "mean(y log(p)) -> 0 where y = p = 0",
        "mean",
        _cross_entropy,
        "no eps keeps p from 0",
        "0 log(p) is 0 for every p > 0",
        "y = p = 0",
    ),
)
