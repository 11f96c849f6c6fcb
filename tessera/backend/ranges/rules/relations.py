"""What is known where both operands of a difference or a quotient were computed from the same values."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from torch import fx

from tessera.backend.ranges.identity import operation
from tessera.backend.ranges.question import Question
from tessera.backend.ranges.rows import NO_FACTS, Fact, Rows
from tessera.backend.ranges.value_range import INF, Range, number

_RESHAPES = {"unsqueeze", "expand", "view", "_unsafe_view", "squeeze", "detach", "alias", "clone"}

_LARGER = frozenset({"maximum", "fmax", "clamp_min", "logaddexp"})
_SMALLER = frozenset({"minimum", "fmin", "clamp_max"})


def difference(q: Question, a: fx.Node, b: fx.Node) -> Range | None:
    """A - b where b was computed from the same values as a."""
    x, y, known = q.x, q.y, q.identity
    span = max(x.high, y.high) - min(x.low, y.low) if x.bounded and y.bounded else INF
    size = max(x.size, y.size)
    if known.same(a, b):
        return number(0.0)
    if _at_least(q, b, a):
        dims = _reduced(b, q.shape(a))
        peak = Rows(peak=Fact(dims, 0.0)) if known.is_largest_of(b, a) else NO_FACTS
        return Range(-span, 0.0, (0.0, 0.0), size, rows=peak)
    if known.is_largest_of(a, b) or known.is_least_of(b, a) or _extremes(q, a, b):
        return Range(0.0, span, (0.0, size), size)
    if known.same_content(a, b) or _mean_of(q, b, a):
        far = min(size, span)
        return Range(-span, span, (-far, far), size)
    return _from_one_of_two(q, a, b, span, size)


def _at_least(q: Question, bound: fx.Node, node: fx.Node) -> bool:
    """Whether ``bound`` is never less than ``node``: its largest value, or that and something else."""
    if q.identity.is_largest_of(bound, node):
        return True
    name = operation(bound)
    if name in ("maximum", "max"):
        return any(isinstance(one, fx.Node) and _at_least(q, one, node) for one in bound.args)
    if name in _RESHAPES:
        return isinstance(bound.args[0], fx.Node) and _at_least(q, bound.args[0], node)
    return name == "logsumexp" and q.identity.same_content(bound.args[0], node)


def _from_one_of_two(q: Question, a: fx.Node, b: fx.Node, span: float, size: float) -> Range | None:
    """``a - b`` where one is the larger, or the smaller, of the other and something else."""
    if _is_one_of_two(q, _LARGER, b, a) or _is_one_of_two(q, _SMALLER, a, b):
        return Range(-span, 0.0, (0.0, 0.0), size)
    if _is_one_of_two(q, _LARGER, a, b) or _is_one_of_two(q, _SMALLER, b, a):
        return Range(0.0, span, (0.0, 0.0), size)
    return None


def _is_one_of_two(q: Question, operations: frozenset[str], bound: Any, node: fx.Node) -> bool:
    """Whether ``bound`` is the larger, or the smaller, of ``node`` and something else at every position."""
    name = operation(bound)
    if name == "clamp" and not bound.kwargs and None in (*bound.args, None)[1:3]:
        name = "clamp_min" if len(bound.args) == 2 else "clamp_max"
    return name in operations and any(
        q.identity.same(one, node) or _is_one_of_two(q, operations, one, node) for one in bound.args
    )


def _extremes(q: Question, a: fx.Node, b: fx.Node) -> bool:
    """Whether the least is subtracted from the largest of the same values."""
    largest, least = _source(a), _source(b)
    if largest is None or least is None:
        return False
    return largest[0] == "max" and least[0] == "min" and q.identity.same_content(largest[1], least[1])


def _source(node: Any) -> tuple[str, fx.Node] | None:
    """What a node is an extreme of, seen through changes of shape."""
    while isinstance(node, fx.Node):
        name = operation(node)
        if name in ("amax", "max", "amin", "min", "aminmax"):
            return name.removeprefix("a"), node.args[0]  # type: ignore[return-value]
        if name not in _RESHAPES | {"getitem"}:
            return None
        node = node.args[0]
    return None


def _mean_of(q: Question, b: fx.Node, a: fx.Node) -> bool:
    while operation(b) in _RESHAPES:
        b = b.args[0]  # type: ignore[assignment]
    return operation(b) in ("mean", "median") and q.identity.same_content(b.args[0], a)


def _reduced(node: Any, shape: list[int], position: int = 1) -> frozenset[int]:
    """The dims along which ``node`` is a reduction of something of this shape."""
    while isinstance(node, fx.Node) and operation(node) in _RESHAPES | {"getitem"}:
        node = node.args[0]
    dims = node.args[position] if isinstance(node, fx.Node) and len(node.args) > position else None
    return along(dims, len(shape))


def along(dims: Any, rank: int) -> frozenset[int]:
    """Dims counted from the front; none given: all."""
    if dims is None or (isinstance(dims, Iterable) and not list(dims)):
        return frozenset(range(rank))
    listed = list(dims) if isinstance(dims, Iterable) else [dims]
    return frozenset(dim % rank for dim in listed if isinstance(dim, int)) if rank else frozenset()


def share(q: Question, a: fx.Node, b: fx.Node) -> Range | None:
    """A / (something that is never smaller than a): a share of a sum, a part of the largest, a row of length 1."""
    x = q.x
    whole, more = _without_addend(q, b)
    name = operation(whole)
    of = whole.args[0] if whole.args else None
    if name in ("linalg_vector_norm", "norm") and q.identity.same_content(of, a):
        dims = _reduced(whole, q.shape(a), 2)
        rows = Rows(length=Fact(dims, 1.0))
        return Range(-1.0, 1.0, (-1.0, 1.0), 1.0, rows=rows)
    if name == "sum" and q.identity.same_content(of, a) and x.low >= 0:
        dims = _reduced(whole, q.shape(a))
        peak = None if more else Fact(dims, 1 / max(math.prod(q.shape(a)[dim] for dim in dims), 1))
        return Range(0.0, 1.0, (0.0, 1.0), 1.0, rows=Rows(peak, Fact(dims, 1.0)))
    return None


def _without_addend(q: Question, node: fx.Node) -> tuple[fx.Node, bool]:
    """``node`` without a positive number that was added, or that it was kept above; whether there was one."""
    more = False
    while True:
        name = operation(node)
        if name in _RESHAPES:
            pass
        elif name in ("clamp_min", "clamp", "add", "maximum") and len(node.args) > 1:
            other = q.range_of(node.args[1])
            if name == "clamp" and len(node.args) > 2 and node.args[2] is not None:
                return node, more
            if other.low < 0:
                return node, more
            more = True
        else:
            return node, more
        if not isinstance(node.args[0], fx.Node):
            return node, more
        node = node.args[0]
