"""Products of matrices, convolutions, and the fused attention."""

from __future__ import annotations

import math

from torch import fx

from tessera.backend.ranges.identity import operation
from tessera.backend.ranges.question import Question, Rule, tensor_of
from tessera.backend.ranges.rules.arithmetic import summed
from tessera.backend.ranges.rules.reductions import ROUNDING, matrix_bounds
from tessera.backend.ranges.value_range import INF, TOP, Range


def _product(q: Question, left: int = 0, right: int = 1) -> Range:
    a, b = q.range(left), q.range(right)
    first, second = tensor_of(q.argument(left)), tensor_of(q.argument(right))
    if first is None or second is None or not first.ndim:
        return TOP
    inner = first.shape[-1]
    least, most = (inner, inner) if isinstance(inner, int) else (1, INF)
    low, high, reached = matrix_bounds(a, b, least, most)
    size = a.size * b.size
    length = _row_length(a, first.ndim - 1), _row_length(b, max(second.ndim - 2, 0))
    if None not in length:
        bound = math.prod(one for one in length if one is not None) * (1 + ROUNDING)
        low, high = max(low, -bound), min(high, bound)
        reached = (low, high)
    total = a.rows.total
    if total is not None and total.dims == {first.ndim - 1} and low >= -INF:  # weighted means
        low, high = max(low, min(b.low, 0.0) * total.value), min(high, max(b.high, 0.0) * total.value)
        reached = None
        size = b.size
    if (a.parameter or b.parameter) and not a.constant and not b.constant and low < 0 < high and reached is None:
        # Weights have both signs, and so has what they make.
        reached = (max(-1.0, low), min(1.0, high))
    return Range(low, high, reached, min(size, max(abs(low), abs(high))))


def _row_length(x: Range, dim: int) -> float | None:
    fact = x.rows.length
    return fact.value if fact is not None and fact.dims == {dim} else None


def _with_addend(q: Question) -> Range:
    """Addmm and its like: an addend, then the product."""
    product, bias = _product(q, 1, 2), q.x
    found = summed(bias, product).plain()
    return found.changed(reached=product.reached) if bias.parameter and product.signed else found


def _convolution(q: Question) -> Range:
    if q.y.parameter and not q.x.constant:
        return Range(reached=(-1.0, 1.0))
    return TOP


def _attention(q: Question) -> tuple[Range, ...]:
    """Weighted means of the values."""
    value = q.range(2)
    return (Range(min(value.low, 0.0), max(value.high, 0.0), None, value.size), *([TOP] * 9))


def _dot(q: Question) -> Range:
    a = q.argument(0)
    if isinstance(a, fx.Node) and operation(a):
        least, most = q.count(q.dims(None))
        low, high, reached = matrix_bounds(q.x, q.y, least, most)
        return Range(low, high, reached, q.x.size * q.y.size)
    return TOP


RULES: dict[str, Rule] = {
    "mm": _product,
    "bmm": _product,
    "mv": _product,
    "matmul": _product,
    "dot": _dot,
    "addmm": _with_addend,
    "baddbmm": _with_addend,
    "addmv": _with_addend,
    "linear": lambda q: Range(reached=(-1.0, 1.0)) if q.y.parameter else TOP,
    "convolution": _convolution,
    "_scaled_dot_product_flash_attention_for_cpu": _attention,
    "_scaled_dot_product_flash_attention": _attention,
    "_scaled_dot_product_efficient_attention": _attention,
    "_scaled_dot_product_fused_attention_overrideable": _attention,
}
