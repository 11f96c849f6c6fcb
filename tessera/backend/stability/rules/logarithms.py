"""log(f), where f is an exponential in disguise: its logarithm is known without f, which overflows or vanishes.

    log(softmax(x))       log_softmax(x)              log(sum(exp(x)))       log_sum_exp(x)
    log(1 + exp(x))       softplus(x)                 log(a * b)             log(a) + log(b)
    log(1 + u)            log1p(u)                    log(prod(x))           sum(log(x))

A rule asks for the logarithm of the parts in turn (``logarithm``), so they compose: the logarithm of a sum of products
of sigmoids is a log-sum-exp of sums of log-sigmoids.
"""

from __future__ import annotations

import math

import torch

from tessera.backend.stability.algebra import Algebra, Value, scaled
from tessera.backend.stability.facts import is_clamped_above, is_guarded, is_nonnegative, is_positive, is_shifted
from tessera.backend.stability.rule import Rule
from tessera.backend.stability.rules.differences import DIFFERENCES, root_of_square
from tessera.backend.stability.rules.log_tails import LOG_TAILS
from tessera.backend.stability.rules.near_one import above_one, known_logarithm
from tessera.backend.stability.rules.quotients import length_of, quotient_as_softmax
from tessera.backend.stability.spelling import example

LARGEST = 2**22  # numbers that a product of matrices may become
DEEPEST = 6  # how far a rule looks into what it takes the logarithm of


def logarithm(algebra: Algebra, value: Value, depth: int = 0) -> Value | None:
    """log(value) in a stable form; None where that is no better than the logarithm of what it is."""
    if depth > DEEPEST:
        return None
    for rule in LOGARITHMS:
        if rule.on == "log" and (found := rule.find(algebra, algebra.make("log", value))) is not None:
            return found
    return None


def _log(algebra: Algebra, value: Value) -> Value:
    """log(value), stable if it can be."""
    if value.number is not None:
        return algebra.number(math.log(value.number) if value.number > 0 else -math.inf)
    return logarithm(algebra, value) or algebra.make("log", value)


def _exponential(_: Algebra, v: Value) -> Value | None:
    inner = v.args[0]
    return inner.args[0] if inner.op == "exp" else None


def _sigmoid(algebra: Algebra, v: Value) -> Value | None:
    inner = v.args[0]
    return algebra.make("log_sigmoid", inner.args[0]) if inner.op == "sigmoid" else None


def _softmax(algebra: Algebra, v: Value) -> Value | None:
    inner = v.args[0]
    if inner.op == "product" and (found := quotient_as_softmax(algebra, inner)) is not None:
        inner = found
    return algebra.make("log_softmax", *inner.args) if inner.op == "softmax" else None


def _shown(algebra: Algebra, v: Value) -> Value | None:
    inner = v.args[0]
    if inner.op not in ("squeeze", "move", "cast", "detach", "expand"):
        return None
    found = logarithm(algebra, inner.args[0])
    if found is None:
        return None
    made = algebra.make(inner.op, found, *inner.args[1:])
    made.shape = inner.shape
    return made


def _chosen(algebra: Algebra, v: Value) -> Value | None:
    inner = v.args[0]
    if inner.op != "where":
        return None
    condition, *branches = inner.args
    found = [logarithm(algebra, branch) for branch in branches]
    if not any(found) or not all(
        f or (b.number is not None and b.number >= 0) for f, b in zip(found, branches, strict=True)
    ):
        return None
    return algebra.make("where", condition, *(f or _log(algebra, b) for f, b in zip(found, branches, strict=True)))


def _sum(algebra: Algebra, v: Value) -> Value | None:
    inner = v.args[0]
    if inner.op not in ("sum", "mean"):
        return None
    summed, dims = inner.args
    if summed.op == "exp":
        return None if is_shifted(summed.args[0]) else algebra.make(f"log_{inner.op}_exp", summed.args[0], dims)
    if (found := _sum_of_weighted(algebra, summed, inner.op, dims)) is not None:
        return found
    if is_nonnegative(summed) and (found := logarithm(algebra, summed)) is not None:
        return algebra.make(f"log_{inner.op}_exp", found, dims)
    return None


def _sum_of_weighted(algebra: Algebra, summed: Value, op: str, dims: tuple[int, ...]) -> Value | None:
    """Of products of weights of any sign and of factors whose logarithm is known, such as exponentials."""
    number, factors = algebra.factors(summed)
    known = {base: logarithm(algebra, base) for base in factors if is_positive(base)}
    known = {base: found for base, found in known.items() if found is not None}
    rest = {base: e for base, e in factors.items() if base not in known}
    if not known or not rest or any(base.op == "exp" and is_shifted(base.args[0]) for base in known):
        return None
    if any(is_nonnegative(base) and logarithm(algebra, base) is not None for base in rest):
        return None
    exponent = algebra.add(*((factors[base], found) for base, found in known.items() if found))
    return algebra.make(f"log_{op}_weighted_exp", exponent, algebra.product(number, rest), dims)


def _cumulated(algebra: Algebra, v: Value) -> Value | None:
    inner = v.args[0]
    if inner.op != "cumsum" or not is_nonnegative(inner.args[0]):
        return None
    if inner.args[0].op == "exp" and is_shifted(inner.args[0].args[0]):
        return None
    found = logarithm(algebra, inner.args[0])
    return None if found is None else algebra.make("log_cumsum_exp", found, inner.args[1])


def _matmul(algebra: Algebra, v: Value) -> Value | None:
    inner = v.args[0]
    if inner.op != "matmul" or not all(is_nonnegative(one) for one in inner.args):
        return None
    if any(one.op == "exp" and is_shifted(one.args[0]) for one in inner.args):
        return None
    logs = [logarithm(algebra, one) for one in inner.args]
    if not all(logs):
        return None
    shapes = [one.shape for one in inner.args]
    sizes = [size for shape in shapes if shape is not None for size in shape]
    small = len(sizes) == 4 and all(isinstance(size, int) for size in sizes) and math.prod(sizes) <= LARGEST * sizes[2]
    return algebra.make("log_matmul_exp", *logs, small)


def _determinant(algebra: Algebra, v: Value) -> Value | None:
    inner = v.args[0]
    if inner.op == "det":
        return algebra.make("log_det", inner.args[0])
    if inner.op == "abs" and inner.args[0].op == "det":
        return algebra.make("log_abs_det", inner.args[0].args[0])
    return None


def _prod(algebra: Algebra, v: Value) -> Value | None:
    inner = v.args[0]
    if inner.op not in ("prod", "cumprod"):
        return None
    x, dims = inner.args
    if is_nonnegative(x):
        return algebra.make("sum" if inner.op == "prod" else "cumsum", _log(algebra, x), dims)
    beyond = above_one(algebra, x)
    size = algebra.make("log", algebra.make("abs", x))
    if beyond is not None and not is_clamped_above(scaled(beyond)[1]):
        size = algebra.make("log_size_of_one_plus", beyond)
    return algebra.make(f"log_{inner.op}", x, size, dims)


def _product(algebra: Algebra, v: Value) -> Value | None:
    number, factors = algebra.factors(v.args[0])
    if number <= 0 or (number == 1 and len(factors) == 1 and set(factors.values()) == {1.0}) or not factors:
        return None
    odds = _odds(algebra, factors)
    if odds is not None:
        return algebra.add((1.0, odds), (1.0, algebra.number(math.log(number))))
    if len(factors) > 1 and all(map(_is_sum_of_squares, factors)):
        return _lengths(algebra, number, factors)
    if (density := _density(algebra, number, factors)) is not None:
        return density
    known = {base: logarithm(algebra, base) for base in factors}
    unsigned = [base for base in factors if not is_nonnegative(base)]
    sole = unsigned[0] if len(unsigned) == 1 and factors[unsigned[0]] % 2 else None  # NaN where it is negative
    if not any(known[base] for base in factors if base is sole or is_positive(base)):
        return None
    parts, rest = [(1.0, algebra.number(math.log(number)))], dict[Value, float]()
    for base, e in factors.items():
        if base is sole or is_nonnegative(base):
            parts.append((e, known[base] or algebra.make("log", base)))
        else:
            rest[base] = e
    if rest:
        left = algebra.product(1.0, rest)
        parts.append((1.0, logarithm(algebra, left) or algebra.make("log", left)))
    return algebra.add(*parts)


def _density(algebra: Algebra, number: float, factors: dict[Value, float]) -> Value | None:
    """Of ``sigmoid(x) sigmoid(-x)``, which is ``1 / (2 cosh(x / 2)) ** 2``."""
    for base, e in factors.items() if len(factors) == 2 else ():
        if base.op == "sigmoid" and factors.get(algebra.make("sigmoid", algebra.negative(base.args[0]))) == e:
            half = algebra.make("log_cosh", algebra.scale(base.args[0], 0.5))
            return algebra.add((-2 * e, half), (1.0, algebra.number(math.log(number) - 2 * e * math.log(2))))
    return None


def _lengths(algebra: Algebra, number: float, factors: dict[Value, float]) -> Value | None:
    """Of squares of lengths, twice that of the lengths."""
    lengths = {length_of(algebra, algebra.power(base, 0.5)): e for base, e in factors.items()}
    if None in lengths:
        return None
    log = algebra.make("log", algebra.product(1.0, lengths))  # type: ignore[arg-type]
    return algebra.add((2.0, log), (1.0, algebra.number(math.log(number))))


def _is_sum_of_squares(value: Value) -> bool:
    squares = value.args[0] if value.op in ("sum", "mean") else value
    return squares is not value and squares.op == "product" and all(e % 2 == 0 for _, e in squares.args[0])


def _odds(algebra: Algebra, factors: dict[Value, float]) -> Value | None:
    """log(p / (1 - p)) and log((1 + x) / (1 - x))."""
    if len(factors) != 2 or sorted(factors.values()) != [-1.0, 1.0]:
        return None
    above, below = sorted(factors, key=lambda base: -factors[base])
    constant, terms = algebra.terms(below)
    if constant == 1 and terms == {above: -1.0} and above.op not in ("sigmoid", "exp") and not is_guarded(above):
        return algebra.make("logit", above)
    other, others = algebra.terms(above)
    if other == constant == 1 and len(terms) == 1 and others == {term: -c for term, c in terms.items()}:
        return algebra.scale(algebra.make("atanh", algebra.linear(0.0, others)), 2.0)
    return None


def _cosh(algebra: Algebra, v: Value) -> Value | None:
    inner = v.args[0]
    if inner.op == "cosh":
        return algebra.make("log_cosh", inner.args[0])
    if inner.op == "sech_squared":
        return algebra.scale(algebra.make("log_cosh", inner.args[0]), -2.0)
    constant, terms = algebra.terms(inner)
    if constant == 0 and len(terms) == 2 and all(term.op == "exp" for term in terms):
        (a, c), (b, d) = ((term.args[0], c) for term, c in terms.items())
        if c == d > 0 and a is algebra.negative(b):
            return algebra.add((1.0, algebra.make("log_cosh", a)), (1.0, algebra.number(math.log(2 * c))))
    return None


def _sum_of_exponentials(algebra: Algebra, v: Value) -> Value | None:
    """log(c + a exp(x) + b exp(y) + ...) of anything whose logarithm is known."""
    constant, terms = algebra.terms(v.args[0])
    if constant < 0 or not terms or (constant == 0 and len(terms) == 1) or min(terms.values()) <= 0:
        return None
    logs = {term: logarithm(algebra, term) for term in terms if is_nonnegative(term)}
    if len(logs) < len(terms) or not all(logs.values()):
        return None
    if any(term.op == "exp" and is_shifted(term.args[0]) for term in terms):
        return None
    # 1 + (what is at most 1, or clamped) neither overflows nor vanishes; log1p is as good and takes less.
    if constant and not any(_is_exponential(term) for term in terms):
        return None
    if constant and all(term.op == "exp" and _stays_in_range(algebra, term.args[0]) for term in terms):
        return None
    parts = [algebra.add((1.0, log), (1.0, algebra.number(math.log(terms[term])))) for term, log in logs.items() if log]
    if constant:
        first, level = parts[0], math.log(constant)
        found = algebra.make("softplus", algebra.add((1.0, first), (-1.0, algebra.number(level))))
        found = algebra.add((1.0, found), (1.0, algebra.number(level)))
    else:
        found = parts[0]
    for part in parts[1:]:
        found = algebra.make("log_add_exp", found, part)
    return found


def _stays_in_range(algebra: Algebra, exponent: Value) -> bool:
    return is_clamped_above(exponent) or is_nonnegative(algebra.negative(exponent))


def _sum_of_weighted_exponentials(algebra: Algebra, v: Value) -> Value | None:
    """log(a f + b g + ...), where a and b have any sign and the logarithms of f and g are known."""
    constant, terms = algebra.terms(v.args[0])
    if constant or len(terms) < 2:
        return None
    weights, logs = list[Value](), list[Value]()
    for term, c in terms.items():
        number, factors = algebra.factors(term)
        known = {base: logarithm(algebra, base) for base in factors if is_positive(base)}
        found = [(factors[base], log) for base, log in known.items() if log is not None]
        if not found or any(base.op == "exp" and is_shifted(base.args[0]) for base in known):
            return None
        weights.append(algebra.product(c * number, {base: e for base, e in factors.items() if not known.get(base)}))
        logs.append(algebra.add(*found))
    if all(weight.number is not None and weight.number < 0 for weight in weights):
        return None
    return algebra.make("log_add_weighted_exp", *weights, *logs)


def _is_exponential(value: Value) -> bool:
    return value.op == "exp" or (value.op == "product" and any(base.op == "exp" for base, _ in value.args[0]))


def _difference_of_exponentials(algebra: Algebra, v: Value) -> Value | None:
    constant, terms = algebra.terms(v.args[0])
    logs = [(log, c) for term, c in terms.items() if (log := _exponent(algebra, term)) is not None]
    if len(logs) < len(terms):
        return None
    items = [*logs, (algebra.number(0), constant)] if constant else logs
    if len(items) != 2 or items[0][1] != -items[1][1]:
        return None
    (a, c), (b, _) = sorted(items, key=lambda item: -item[1])
    if is_shifted(a) or is_shifted(b):
        return None
    if a.number == 0:
        small = logarithm(algebra, algebra.negative(b))
        known = small is not None and b.op in ("linear", "exp")
        found = algebra.make("log_one_minus_exp_of_exp", small) if known else algebra.make("log_one_minus_exp", b)
    elif b.number == 0:
        found = algebra.make("log_exp_minus_one", a)
    else:
        found = algebra.add((1.0, a), (1.0, algebra.make("log_one_minus_exp", algebra.minus(b, a))))
    return algebra.add((1.0, found), (1.0, algebra.number(math.log(c))))


def _exponent(algebra: Algebra, value: Value) -> Value | None:
    """``x`` of ``exp(x)``, and of a product that is one."""
    if value.op == "exp":
        return value.args[0]
    return known_logarithm(algebra, value) if value.op in ("prod", "cumprod", "product") else None


def _inverse_hyperbolic(algebra: Algebra, v: Value) -> Value | None:
    """log(x + sqrt(x^2 + 1)) and log(x + sqrt(x^2 - 1))."""
    constant, terms = algebra.terms(v.args[0])
    if constant or len(terms) != 2 or set(terms.values()) != {1.0}:
        return None
    for root, x in (tuple(terms), tuple(terms)[::-1]):
        if root.op != "product" or len(root.args[0]) != 1 or root.args[0][0][1] != 0.5:
            continue
        level, squares = algebra.terms(root.args[0][0][0])
        if squares == {algebra.power(x, 2): 1.0} and level in (1.0, -1.0):
            return algebra.make("asinh" if level == 1 else "acosh", x)
    return None


def _difference(algebra: Algebra, v: Value) -> Value | None:
    """The logarithm of what terms that cancel leave."""
    inner = v.args[0]
    for rule in DIFFERENCES if inner.op == "linear" else ():
        if (found := rule.find(algebra, inner)) is not None:
            return logarithm(algebra, found)
    return None


def _weighted(algebra: Algebra, v: Value) -> Value | None:
    """``xlogy(x, y)``, where the logarithm of y is known."""
    weight, inner = v.args
    found = logarithm(algebra, inner)
    return None if found is None else algebra.times(weight, found)


def _squares(algebra: Algebra, v: Value) -> Value | None:
    """Of the square of a length."""
    inner = v.args[0]
    if inner.op not in ("sum", "mean") and (inner.op != "linear" or inner.args[0] != 0 or len(inner.args[1]) < 2):
        return None
    length = length_of(algebra, algebra.power(inner, 0.5))
    return None if length is None else algebra.scale(algebra.make("log", length), 2.0)


def _one_plus(algebra: Algebra, v: Value) -> Value | None:
    constant, terms = algebra.terms(v.args[0])
    if len(terms) == 1:
        ((term, c),) = terms.items()
        if c < 0 and is_clamped_above(term):
            return None
        x = root_of_square(algebra, term)
        if x is not None and c > 0 and constant >= 1:
            found = algebra.make("log1p_of_square", algebra.scale(x, math.sqrt(c / constant)))
            return algebra.add((1.0, found), (1.0, algebra.number(math.log(constant))))
    if constant != 1 or not terms:
        return None
    return algebra.make("log1p", algebra.linear(0.0, terms))


def _draw(algebra: Algebra, v: Value) -> Value | None:
    inner = v.args[0]
    if inner.op != "draw":
        return None
    least = torch.finfo(example(inner.args[0].args[0]).dtype).eps / 4
    return algebra.make("log", algebra.make("drawn", inner, least))


LOGARITHMS = (
    Rule("log(exp) -> its exponent", "log", _exponential, "", "log and exp undo each other", "|x| > 88 in float32"),
    Rule(
        "log(sigmoid) -> logsigmoid", "log", _sigmoid, "", "log(1 / (1 + exp(-x)))", "x < -88, where sigmoid vanishes"
    ),
    Rule("log(softmax) -> log_softmax", "log", _softmax, "", "log(exp(x_i) / s) = x_i - log(s)", "scores 90 apart"),
    Rule(
        "log of a view -> view of the log",
        "log",
        _shown,
        "the logarithm of what is shown is known",
        "log works on each element, wherever it stands",
        "scores 90 apart",
    ),
    Rule(
        "log(where) -> where(log)",
        "log",
        _chosen,
        "the logarithm of a branch is known",
        "log works on each element",
        "scores 90 apart, masked",
    ),
    Rule(
        "log(sum(exp)) -> logsumexp",
        "log",
        _sum,
        "what is summed is an exponential or a product with one",
        "log(sum(exp(x))) = m + log(sum(exp(x - m))) for every m",
        "x > 88; x < -104",
    ),
    Rule(
        "log(cumsum(exp)) -> logcumsumexp",
        "log",
        _cumulated,
        "what is summed has a known logarithm",
        "as for the sum, for every prefix",
        "x > 88; x < -104",
    ),
    Rule(
        "log(exp(a) @ exp(b)) -> logsumexp of a + b",
        "log",
        _matmul,
        "the logarithms of both matrices are known",
        "exp(a) exp(b) = exp(a + b)",
        "a, b > 88; a, b < -104",
    ),
    Rule(
        "log(det) -> logdet",
        "log",
        _determinant,
        "",
        "the determinant is the product of the pivots",
        "pivots whose product overflows or vanishes",
    ),
    Rule(
        "log(prod) -> sum(log)",
        "log",
        _prod,
        "",
        "log(ab) = log(a) + log(b); an odd number of negative factors is NaN",
        "factors whose product overflows or vanishes",
    ),
    Rule(
        "log((e^x + e^-x) / 2) -> logcosh",
        "log",
        _cosh,
        "",
        "log(cosh(x)) = log1p(2 sinh(x/2)^2) = |x| + log1p(e^-2|x|) - log 2",
        "|x| > 88; |x| < 1e-4, where cosh is 1",
    ),
    Rule(
        "log(exp(a) - exp(b)) -> a + log1mexp(b - a)",
        "log",
        _difference_of_exponentials,
        "equal factors",
        "exp(a) - exp(b) = exp(a) (1 - exp(b - a))",
        "a > 88; a near b",
        tried=True,
    ),
    Rule(
        "log(x + sqrt(x^2 +- 1)) -> asinh, acosh",
        "log",
        _inverse_hyperbolic,
        "",
        "the definitions",
        "x << 0, where the sum cancels; |x| > 1e19",
    ),
    Rule(
        "log(exp(a) + exp(b)) -> logaddexp, softplus",
        "log",
        _sum_of_exponentials,
        "every term is positive and has a known logarithm",
        "log(e^a + e^b) = m + log1p(exp(-|a - b|)), m the larger",
        "a > 88; a, b < -104; a << 0 beside a constant",
    ),
    *LOG_TAILS,
    Rule(
        "log(a exp(x) + b exp(y)) -> m + log(a exp(x - m) + b exp(y - m))",
        "log",
        _sum_of_weighted_exponentials,
        "every term has a factor whose logarithm is known",
        "as for the sum; m is the largest whose weight is not 0",
        "a = 0, y < -104",
    ),
    Rule(
        "log(a b) -> log(a) + log(b)",
        "log",
        _product,
        "at most one factor's sign is unknown, and one's logarithm known",
        "log(ab) = log(a) + log(b) for a > 0",
        "factors that overflow or vanish; odds near 1",
        tried_beside=True,
    ),
    Rule(
        "log(1 - sigmoid) -> logsigmoid(-x), and the like",
        "log",
        _difference,
        "the terms cancel, and the logarithm of what they leave is known",
        "the rule for the difference",
        "x > 17",
    ),
    Rule(
        "log(x^2 + y^2) -> 2 log(hypot), of sums 2 log(norm)",
        "log",
        _squares,
        "nothing but squares is added up",
        "log(r^2) = 2 log(r) for r > 0",
        "squares that overflow or vanish",
    ),
    Rule(
        "log(1 + u) -> log1p(u)",
        "log",
        _one_plus,
        "u is not -p of a clamped p",
        "the definition",
        "|u| < 1e-7",
        tried=True,
    ),
    Rule(
        "log(rand) -> log of a draw above 0",
        "log",
        _draw,
        "the argument is drawn by torch.rand",
        "a uniform draw is 0 with probability 0; torch.rand rounds down to it",
        "a draw of exactly 0",
    ),
    Rule(
        "xlogy(p, softmax) -> p log_softmax, and the like",
        "xlogy",
        _weighted,
        "the logarithm is known",
        "the definition; a logarithm that is finite needs no care at p = 0",
        "scores 90 apart",
    ),
)
