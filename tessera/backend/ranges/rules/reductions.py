"""Sums, means, extremes, norms and products over dims."""

from __future__ import annotations

import math

from torch import fx

from tessera.backend.ranges.identity import operation
from tessera.backend.ranges.question import Question, Rule
from tessera.backend.ranges.rows import NO_FACTS, Fact, Rows
from tessera.backend.ranges.value_range import INF, Range, corners, power, product

ROUNDING = 4e-7  # how far beyond 1 the product of two rows of length 1 may come out in float32


def _dropped(_: Question, dims: frozenset[int], keeps: bool, rows: Rows) -> Rows:
    """Rows along other dims, after ``dims`` were reduced."""

    def where(dim: int) -> int | None:
        if dim in dims:
            return None
        return dim if keeps else dim - sum(gone < dim for gone in dims)

    return rows.moved(where)


def _sum(q: Question) -> Range:
    x = q.x
    dims = q.dims(q.argument(1, "dim"))
    least, most = q.count(dims)
    low = product(x.low, most if x.low < 0 else least)
    high = product(x.high, most if x.high > 0 else least)
    rows = x.rows
    if rows.peak is not None and rows.peak.dims <= dims and x.low >= 0:
        low = max(low, rows.peak.value)
    if rows.total is not None and rows.total.dims == dims:
        high = min(high, rows.total.value)
    reached = None
    if x.reached is not None:
        # Values of one sign can all be as large as the largest; those of both signs mostly cancel.
        count = least if x.low >= 0 or x.high <= 0 else math.sqrt(least)
        reached = (product(x.reached[0], count), product(x.reached[1], count))
        reached = (max(reached[0], low), min(reached[1], high))
    bound = _product_of_rows(q, dims)
    if bound is not None:
        low, high = max(low, -bound), min(high, bound)
        reached = (low, high)
    size = x.size * (least if x.low >= 0 else 1)
    return Range(low, high, reached, min(size, max(abs(low), abs(high))), integer=x.integer)


def _product_of_rows(q: Question, dims: frozenset[int]) -> float | None:
    """The most that a sum of a * b along ``dims`` can be, by the lengths of the rows of a and b."""
    node = q.argument(0)
    if not isinstance(node, fx.Node) or operation(node) != "mul":
        return None
    lengths = [q.range_of(factor).rows.length for factor in node.args]
    if any(length is None or length.dims != dims for length in lengths):
        return None
    return math.prod(length.value for length in lengths if length is not None) * (1 + ROUNDING)


def _mean(q: Question) -> Range:
    x = q.x
    dims = q.dims(q.argument(1, "dim"))
    low = x.low
    if x.rows.peak is not None and x.rows.peak.dims <= dims and x.low >= 0:
        low = max(low, x.rows.peak.value / max(q.count(dims)[1], 1))
    return Range(low, x.high, _narrowed(x, q.count(dims)[0]), x.size)


def _narrowed(x: Range, count: float) -> tuple[float, float] | None:
    """Means of values of both signs come near to zero, and are not often as far out as the values."""
    if x.reached is None or x.low >= 0 or x.high <= 0:
        return x.reached
    return x.reached[0] / math.sqrt(count), x.reached[1] / math.sqrt(count)


def _extreme(q: Question) -> Range | tuple[Range, ...]:
    x = q.x
    if len(q.node.args) > 1 and not isinstance(q.node.args[1], (int, list, tuple)):
        from tessera.backend.ranges.rules.arithmetic import larger, smaller

        return (larger if "max" in str(q.node.target) else smaller)(q.x, q.y)
    largest = "max" in str(q.node.target)
    low, reached = x.low, x.reached
    peak = x.rows.peak
    if largest and peak is not None and peak.dims <= q.dims(q.argument(1, "dim")):
        low = max(low, peak.value)
        reached = reached and (max(reached[0], low), max(reached[1], low))
    found = Range(low, x.high, reached, x.size, integer=x.integer)
    several = isinstance(q.node.meta.get("val"), (tuple, list))
    return (found, Range(0.0, INF, None, integer=True)) if several else found


def _deviation(q: Question) -> Range:
    """Variances and standard deviations: zero where all values are alike."""
    x = q.x
    span = (x.high - x.low) / 2 if x.bounded else INF
    most = power(span, 2) if "var" in str(q.node.target) else span
    varies = x.data or not (x.parameter or x.constant)
    return Range(0.0, max(most * 2, 0.0), (0.0, min(x.size, most)) if varies else None, x.size)


def _deviation_and_mean(q: Question) -> tuple[Range, ...]:
    return _deviation(q), Range(q.x.low, q.x.high, None, q.x.size)


def _norm(q: Question) -> Range:
    x = q.x
    order = q.argument(1, "ord", 2)
    dims = q.dims(q.argument(2, "dim"))
    least, most = q.count(dims)
    largest = max(abs(x.low), abs(x.high))
    smallest = 0.0 if x.low <= 0 <= x.high else min(abs(x.low), abs(x.high))
    grows = {1: most, 2: math.sqrt(most)}.get(order, most if isinstance(order, (int, float)) and order < 1 else 1.0)
    high = product(largest, grows)
    if order == 2 and x.rows.length is not None and x.rows.length.dims == dims:
        high = min(high, x.rows.length.value)
    reached = None
    if x.parameter:  # not by accident all zero at once
        reached = None
    elif x.reached is not None and x.reaches_zero:
        reached = (0.0, max(map(abs, x.reached)))
    elif x.low < 0 <= x.high and x.data:
        reached = (0.0, x.size)
    size = x.size * (math.sqrt(least) if order == 2 else 1)
    return Range(smallest, high, reached, min(size, high))


def _product(q: Question) -> Range:
    x = q.x
    dims = q.dims(q.argument(1, "dim")) if isinstance(q.argument(1, "dim"), int) else q.dims(None)
    least, most = q.count(dims)
    return _many(x, least, most)


def _many(x: Range, least: float, most: float) -> Range:
    if x.within(0, 1):
        low = power(x.low, most) if x.low > 0 else 0.0
        reached = x.reached and (power(x.reached[0], least), power(x.reached[1], least))
        return Range(low, x.high, reached, x.size)
    if x.low >= 0:
        reached = x.reached and (power(x.reached[0], least), power(x.reached[1], least))
        return Range(0.0 if x.low < 1 else x.low, power(x.high, most) if x.high > 1 else x.high, reached, x.size)
    return Range(size=min(x.size, 1.0))


def _running_sum(q: Question) -> Range:
    x = q.x
    dim = q.argument(1, "dim", 0)
    least, most = q.count(q.dims(dim))
    low = min(x.low, product(x.low, most)) if x.low < 0 else x.low
    high = max(x.high, product(x.high, most)) if x.high > 0 else x.high
    if x.rows.total is not None and x.rows.total.dims == q.dims(dim):
        high = x.rows.total.value
    reached = None
    if x.reached is not None:
        reached = (min(x.reached[0], x.reached[0] * (least if x.low >= 0 else 1)), x.reached[1])
        if x.low >= 0:
            reached = (x.reached[0], min(product(x.reached[1], least), high))
    return Range(low, high, reached, x.size * (least if x.low >= 0 else 1), integer=x.integer)


def _running_product(q: Question) -> Range:
    x = q.x
    least, most = q.count(q.dims(q.argument(1, "dim", 0)))
    if x.within(0, 1):
        return Range(power(x.low, most) if x.low > 0 else 0.0, x.high, None, x.size)
    found = _many(x, least, most)
    return found.changed(low=min(found.low, x.low)) if x.low >= 0 else found


def _log_of_sum(q: Question) -> Range:
    x = q.x
    dims = q.dims(q.argument(1, "dim"))
    least, most = q.count(dims)
    low = x.low + math.log(max(least, 1))
    if x.rows.peak is not None and x.rows.peak.dims <= dims:
        low = max(low, x.rows.peak.value)
    return Range(low, x.high + (math.log(most) if most < INF else INF), None, x.size)


def _softmax(q: Question) -> Range:
    dims = q.dims(q.argument(1, "dim", -1))
    least, most = q.count(dims)
    if most == 1:
        return Range(1.0, 1.0, (1.0, 1.0), 1.0)
    x = q.x
    low = 0.0
    if x.bounded and x.low > -700 and x.high < 700 and most < INF:
        low = math.exp(x.low - x.high) / most
    reached = (0.0, 1.0) if low == 0.0 else (low, 1.0)
    return Range(low, 1.0, reached, 1.0, rows=Rows(Fact(dims, 1 / least), Fact(dims, 1.0), Fact(dims, 1.0)))


def _log_softmax(q: Question) -> Range:
    dims = q.dims(q.argument(1, "dim", -1))
    return Range(-INF, 0.0, None, q.x.size, rows=Rows(peak=Fact(dims, -math.log(max(q.count(dims)[0], 1)))))


def _top(q: Question) -> tuple[Range, ...]:
    """topk, sort, kthvalue, mode and median along a dim."""
    x = q.x
    largest = q.argument(3, "largest", True)
    rows = x.rows if largest else NO_FACTS
    found = Range(x.low, x.high, x.reached, x.size, integer=x.integer, rows=rows)
    return found, Range(0.0, INF, None, integer=True)


def _any(_: Question) -> Range:
    return Range(0.0, 1.0, (0.0, 1.0), 1.0, integer=True)


def _distance(q: Question) -> Range:
    """Distances of points; those of points to themselves are zero."""
    return Range(0.0, INF, (0.0, 1.0) if q.same(q.argument(0), q.argument(1)) else None, 1.0)


def matrix_bounds(a: Range, b: Range, least: float, most: float) -> tuple[float, float, tuple[float, float] | None]:
    """Low, high and what is reached by sums of ``least`` to ``most`` products."""
    low, high = corners(product, (a.low, a.high), (b.low, b.high))
    reached = None
    if a.reached is not None and b.reached is not None and a.independent(b):
        one = corners(product, a.reached, b.reached)
        count = least if low >= 0 else math.sqrt(least)
        reached = (product(one[0], count), product(one[1], count))
    return product(low, most if low < 0 else least), product(high, most if high > 0 else least), reached


RULES: dict[str, Rule] = {
    "sum": _sum,
    "nansum": _sum,
    "mean": _mean,
    "amax": _extreme,
    "amin": _extreme,
    "max": _extreme,
    "min": _extreme,
    "var": _deviation,
    "std": _deviation,
    "var_mean": _deviation_and_mean,
    "std_mean": _deviation_and_mean,
    "linalg_vector_norm": _norm,
    "prod": _product,
    "cumsum": _running_sum,
    "cumprod": _running_product,
    "logsumexp": _log_of_sum,
    "_softmax": _softmax,
    "_safe_softmax": _softmax,
    "_log_softmax": _log_softmax,
    "topk": _top,
    "sort": _top,
    "any": _any,
    "all": _any,
    "_cdist_forward": _distance,
    "_euclidean_dist": _distance,
}
