"""Recognises a softmax, as an operation or written out."""

from __future__ import annotations

from dataclasses import dataclass
from operator import getitem
from typing import Any

from torch import fx

from tessera.backend.attention.axes import operator_name


@dataclass(frozen=True)
class Softmax:
    """``result = softmax(scores, dim)``; ``inside`` are the operations between, the result with them."""

    scores: fx.Node
    dim: int
    result: fx.Node
    inside: list[fx.Node]


def find_softmax(node: fx.Node) -> Softmax | None:
    """The softmax that ends in ``node``.

    Either the operation, or ``exp(x - max) / sum(exp(x - max))``, with or without the maximum, or
    ``exp(log_softmax(x))``.
    """
    args: Any = node.args
    if operator_name(node) == "_softmax":
        return _made(args[0], args[1], node, [node])
    if operator_name(node) == "div" and len(args) == 2 and not node.kwargs:
        exponential, total = args
        if _is(exponential, "exp") and _is(total, "sum") and total.args[0] is exponential:
            dims, kept = (*total.args[1:], None, False)[:2]
            if kept is True and isinstance(dims, list) and len(dims) == 1:
                scores, inside = _without_maximum(exponential.args[0], dims[0])
                return _made(scores, dims[0], node, [*inside, exponential, total, node])
    if operator_name(node) == "exp":
        x = args[0]
        if _is(x, "_log_softmax"):
            return _made(x.args[0], x.args[1], node, [x, node])
    return None


def _is(value: Any, name: str) -> bool:
    return isinstance(value, fx.Node) and operator_name(value) == name


def _made(scores: Any, dim: Any, result: fx.Node, inside: list[fx.Node]) -> Softmax:
    return Softmax(scores, dim % result.meta["val"].dim(), result, inside)


def _without_maximum(x: Any, dim: int) -> tuple[Any, list[fx.Node]]:
    """``x`` of ``x - max(x)``, and what lies between; ``x`` itself where nothing is subtracted."""
    if not _is(x, "sub") or x.kwargs:
        return x, []
    scores, largest = x.args
    between = [x]
    while _is(largest, "detach") or (getattr(largest, "target", None) is getitem and largest.args[1] == 0):
        between.append(largest)
        largest = largest.args[0]
    if not (_is(largest, "amax") or _is(largest, "max")) or largest.args[0] is not scores:
        return x, []
    over, kept = (*largest.args[1:], False, False)[:2]
    dims = over if isinstance(over, list) else [over]
    rank = scores.meta["val"].dim()
    if kept is not True or [d % rank for d in dims] != [dim % rank]:
        return x, []
    return scores, [largest, *reversed(between)]
