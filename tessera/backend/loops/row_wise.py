"""Whether the rows of a loop's tensors know nothing of each other: then threads can share them out for all turns."""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable
from typing import Any

import torch
from torch import fx

from tessera.backend.loops.body import Body, Like, trace_body

HasRows = dict[fx.Node, bool]
_ATEN = torch.ops.aten


def rows_of(body: Body) -> int:
    """The number of rows, the leading size of every tensor but the shared ones; 0 where rows meet each other."""
    likes = [*body.carries, *body.xs, *body.ys]
    sizes = {one.shape[0] if one.shape else 0 for one in likes}
    if len(sizes) != 1 or 0 in sizes:
        return 0
    (rows,) = sizes
    has_rows = dict.fromkeys(body.graph.graph.find_nodes(op="placeholder"), True)
    for node in list(has_rows)[len(body.carries) + len(body.xs) :]:
        has_rows[node] = False
    for node in body.graph.graph.nodes:
        if node.op in ("placeholder", "output"):
            continue
        if node.op != "call_function" or not _keeps_rows_apart(node, has_rows):
            return 0
        has_rows[node] = any(has_rows[one] for one in node.all_input_nodes)
    return rows if all(has_rows[node] for node in body.returned) else 0


def for_rows(body: Body, rows: int) -> Body:
    """The same turn for fewer rows."""

    def fewer(one: Like) -> Like:
        return Like((rows, *one.shape[1:]), one.dtype, one.device)

    return trace_body(body.graph, list(map(fewer, body.carries)), list(map(fewer, body.xs)), body.shared)


def _keeps_rows_apart(node: fx.Node, has_rows: HasRows) -> bool:
    """Whether each row of the result is computed from that row of the operands, and from what is shared."""
    if not any(has_rows[one] for one in node.all_input_nodes):
        return bool(node.all_input_nodes)  # what is made of nothing has a size that may be the number of rows
    if node.target is operator.getitem:
        return True
    if _is_pointwise(node.target):
        rank = node.meta["val"].dim()
        return all(_rank(one) == rank if has_rows[one] else _rank(one) < rank for one in node.all_input_nodes)
    rule = _RULES.get(node.target)
    return rule is not None and rule(node, has_rows)


def _is_pointwise(target: Any) -> bool:
    tags = getattr(target, "tags", ())
    return target is _ATEN.clone.default or (
        torch.Tag.pointwise in tags and torch.Tag.nondeterministic_seeded not in tags
    )


def _product(node: fx.Node, has_rows: HasRows) -> bool:
    left, right = node.all_input_nodes
    return has_rows[left] and not has_rows[right]


def _product_and_sum(node: fx.Node, has_rows: HasRows) -> bool:
    added, left, right = node.args
    apart = has_rows[added] or _rank(added) == 1  # type: ignore[index]
    return apart and has_rows[left] and not has_rows[right]  # type: ignore[index]


def _along(position: int, node: fx.Node, has_rows: HasRows) -> bool:
    """Along a dimension that is not that of the rows; ``position`` is where the arguments say which, else it is 0."""
    dim: Any = node.args[position] if len(node.args) > position else 0
    first = node.all_input_nodes[0]
    return all(has_rows[one] for one in node.all_input_nodes) and dim % _rank(first) != 0


_RULES: dict[Any, Callable[[fx.Node, HasRows], bool]] = {
    _ATEN.mm.default: lambda node, has_rows: len(node.all_input_nodes) == 2 and _product(node, has_rows),
    _ATEN.addmm.default: _product_and_sum,
    _ATEN.cat.default: functools.partial(_along, 1),
    _ATEN.split.Tensor: functools.partial(_along, 2),
    _ATEN.split_with_sizes.default: functools.partial(_along, 2),
    _ATEN.slice.Tensor: functools.partial(_along, 1),
}


def _rank(node: Any) -> int:
    value = node.meta["val"]
    return value.dim() if isinstance(value, torch.Tensor) else value[0].dim()
