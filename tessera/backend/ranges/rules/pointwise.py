"""Functions of one value."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass

from tessera.backend.ranges.identity import operation
from tessera.backend.ranges.question import Question, Rule
from tessera.backend.ranges.rules.arithmetic import divided
from tessera.backend.ranges.rules.powers import exp, exponential, folded, safe
from tessera.backend.ranges.value_range import INF, Hull, Range, hull, number


def _sigmoid(value: float) -> float:
    return 1 / (1 + exp(-value)) if value > -709 else 0.0


def _log(value: float) -> float:
    return -INF if value <= 0 else math.log(value)


def _root(value: float) -> float:
    return math.sqrt(max(value, 0.0))


def _softplus(value: float) -> float:
    return value if value > 30 else math.log1p(exp(value))


@dataclass(frozen=True)
class Shape:
    """A function that never falls (or never rises) and the interval it maps everything into.

    Attributes:
        function: on numbers; -inf and inf among them.
        squashes: whether values as far out as they can be are ordinary, because squashing them is what it is for.
        domain: where it has values.
    """

    function: Callable[[float], float]
    squashes: bool = False
    falls: bool = False
    domain: Hull = (-INF, INF)


def _monotone(shape: Shape, q: Question) -> Range:
    x = q.x
    first, last = shape.domain

    def mapped(low: float, high: float) -> Hull:
        low, high = min(max(low, first), last), max(min(high, last), first)
        found = hull((safe(shape.function, low), safe(shape.function, high)))
        return found if found is not None else (-INF, INF)

    low, high = mapped(x.low, x.high)
    reached = None
    if shape.squashes and not x.bounded:
        reached = (low, high)
    elif x.reached is not None and x.reached[1] >= first and x.reached[0] <= last:
        reached = mapped(*x.reached)
    elif shape.squashes:
        reached = (low, high)
    if reached is not None and (math.isinf(reached[0]) or math.isinf(reached[1])) and not shape.squashes:
        reached = None
    size = safe(shape.function, -x.size if shape.falls else x.size)
    size = abs(size) if math.isfinite(size) and size else 1.0
    return Range(low, high, reached, size if reached is None else max(map(abs, reached)))


_MONOTONE: dict[str, Shape] = {
    "neg": Shape(lambda v: -v, falls=True),
    "sigmoid": Shape(_sigmoid, squashes=True),
    "tanh": Shape(math.tanh, squashes=True),
    "erf": Shape(math.erf, squashes=True),
    "erfc": Shape(math.erfc, squashes=True, falls=True),
    "atan": Shape(math.atan, squashes=True),
    "log_sigmoid_forward": Shape(lambda v: -_softplus(-v) if v > -INF else -INF),
    "softplus": Shape(lambda v: _softplus(v) if v < INF else INF),
    "log": Shape(_log, domain=(0.0, INF)),
    "log2": Shape(lambda v: _log(v) / math.log(2), domain=(0.0, INF)),
    "log10": Shape(lambda v: _log(v) / math.log(10), domain=(0.0, INF)),
    "log1p": Shape(lambda v: _log(1 + v) if abs(v) > 1e-3 else math.log1p(v), domain=(-1.0, INF)),
    "sqrt": Shape(_root, domain=(0.0, INF)),
    "asinh": Shape(math.asinh),
    "asin": Shape(math.asin, domain=(-1.0, 1.0)),
    "acos": Shape(math.acos, falls=True, domain=(-1.0, 1.0)),
    "floor": Shape(lambda v: float(math.floor(v)) if math.isfinite(v) else v),
    "ceil": Shape(lambda v: float(math.ceil(v)) if math.isfinite(v) else v),
    "trunc": Shape(lambda v: float(math.trunc(v)) if math.isfinite(v) else v),
    "round": Shape(lambda v: float(round(v)) if math.isfinite(v) else v),
    "sign": Shape(lambda v: float((v > 0) - (v < 0)), squashes=True),
    "hardsigmoid": Shape(lambda v: min(max((v + 3) / 6, 0.0), 1.0), squashes=True),
    "deg2rad": Shape(math.radians),
    "rad2deg": Shape(math.degrees),
}


def _expm1(q: Question) -> Range:
    found = exponential(q.x)
    reached = None if found.reached is None else (found.reached[0] - 1, found.reached[1] - 1)
    return Range(found.low - 1, found.high - 1, reached, found.size)


def _absolute(q: Question) -> Range:
    x = q.x
    low = 0.0 if x.low <= 0 <= x.high else min(abs(x.low), abs(x.high))
    high = max(abs(x.low), abs(x.high))
    return Range(low, high, folded(x, abs), x.size, rows=x.rows.bounds())


def relu(x: Range) -> Range:
    """The values where they are positive, else zero."""
    reached = None
    if x.reached is not None:
        reached = (max(x.reached[0], 0.0), max(x.reached[1], 0.0))
    elif x.low < 0:
        reached = (0.0, max(min(x.size, x.high), 0.0))
    return Range(max(x.low, 0.0), max(x.high, 0.0), reached, x.size, integer=x.integer, rows=x.rows.bounds())


def _reciprocal(q: Question) -> Range:
    return divided(number(1.0), q.x)


def _inverse_root(q: Question) -> Range:
    x = q.x
    low = 0.0 if x.high == INF else 1 / math.sqrt(x.high) if x.high > 0 else 0.0
    high = 1 / math.sqrt(x.low) if x.low > 0 else INF
    reached = None
    if x.reached is not None and x.reached[0] > 0:
        reached = (1 / math.sqrt(x.reached[1]), 1 / math.sqrt(x.reached[0]))
    return Range(low, high, reached, 1.0)


def _wave(q: Question) -> Range:
    """Sine and cosine: of what is not known to be small, all of their values."""
    x, cosine = q.x, operation(q.node) == "cos"
    small = max(abs(x.low), abs(x.high))
    if small < math.pi / 2:
        if cosine:
            nearest = 0.0 if x.reaches_zero else min(map(abs, x.reached or (0.0,)))
            reached = x.reached and (math.cos(max(map(abs, x.reached))), math.cos(nearest))
            return Range(math.cos(small), 1.0, reached, 1.0)
        reached = x.reached and (math.sin(x.reached[0]), math.sin(x.reached[1]))
        return Range(math.sin(x.low), math.sin(x.high), reached, x.size)
    if x.exact is not None:
        value = math.cos(x.exact) if cosine else math.sin(x.exact)
        return Range(value, value, (value, value), abs(value))
    return Range(-1.0, 1.0, None if x.constant else (-1.0, 1.0), 1.0)


def _steep(name: str, q: Question) -> Range:
    """Cosh and sinh."""
    x = q.x
    function = math.cosh if name == "cosh" else math.sinh

    def value(v: float) -> float:
        return math.copysign(safe(function, abs(v)), v if name == "sinh" else 1.0)

    if name == "sinh":
        reached = None if x.reached is None else (value(x.reached[0]), value(x.reached[1]))
        return Range(value(x.low), value(x.high), reached, value(x.size))
    low = 1.0 if x.low <= 0 <= x.high else min(value(x.low), value(x.high))
    reached = folded(x, value) if x.reached is not None else None
    return Range(low, max(value(x.low), value(x.high)), reached, value(x.size))


def _activation(least: float, q: Question) -> Range:
    """Smooth relatives of relu: as far down as ``least``, and up to the values themselves."""
    x = q.x
    return Range(least if x.low < 0 else 0.0, max(x.high, 0.0), None, x.size)


def _elu(q: Question) -> Range:
    alpha, scale = q.argument(1, "alpha", 1.0), q.argument(2, "scale", 1.0)
    x = q.x
    low = 0.0 if x.low >= 0 else -float(alpha) * float(scale)
    return Range(low, max(x.high, 0.0) * scale, None, x.size * float(scale))


def _leaky(q: Question) -> Range:
    x, slope = q.x, float(q.argument(1, "negative_slope", 0.01))

    def value(v: float) -> float:
        return v if v >= 0 else v * slope

    return Range(value(x.low), value(x.high), x.reached and (value(x.reached[0]), value(x.reached[1])), x.size)


RULES: dict[str, Rule] = {name: functools.partial(_monotone, shape) for name, shape in _MONOTONE.items()}
RULES |= {
    "expm1": _expm1,
    "abs": _absolute,
    "relu": lambda q: relu(q.x),
    "reciprocal": _reciprocal,
    "rsqrt": _inverse_root,
    "cosh": functools.partial(_steep, "cosh"),
    "sinh": functools.partial(_steep, "sinh"),
    "sin": _wave,
    "cos": _wave,
    "gelu": functools.partial(_activation, -0.17),
    "silu": functools.partial(_activation, -0.2785),
    "mish": functools.partial(_activation, -0.3089),
    "hardswish": functools.partial(_activation, -0.375),
    "elu": _elu,
    "leaky_relu": _leaky,
}
