"""The same computation done twice is done once (common subexpression elimination).

    before   a = exp(x); b = exp(x); c = a + b
    after    a = exp(x);             c = a + a

Random operations are left alone (two draws differ), and so is everything that writes. Two results that leave the
Program stay two tensors: a caller may write to one of them. Promise: bitwise.
"""

from __future__ import annotations

import operator
from collections.abc import Hashable

from torch import fx

from tessera import torch_internals
from tessera.backend.rewrite import Pass
from tessera.program import Program


def merge_duplicates(program: Program) -> int:
    """Replace every repeated pure operation by its first occurrence; returns how many were replaced."""
    return merge_in(program.graph)


def merge_in(graph: fx.Graph) -> int:
    """The same for any graph that returns a flat list."""
    seen: dict[Hashable, fx.Node] = {}
    escaping = _escaping(graph)
    merged = 0
    for node in list(graph.nodes):
        if node.op != "call_function" or node.is_impure() or not _is_pure(node.target):
            continue
        key = _key(node)
        first = seen.setdefault(key, node)
        if first is not node and not (node in escaping and first in escaping):
            if node in escaping:
                escaping.add(first)
            node.replace_all_uses_with(first)
            graph.erase_node(node)
            merged += 1
    return merged


def _escaping(graph: fx.Graph) -> set[fx.Node]:
    """The returned nodes, and those of which a returned node is a view or one of several results."""
    found: set[fx.Node] = set()
    waiting = list(graph.output_node().all_input_nodes)
    while waiting:
        node = waiting.pop()
        found.add(node)
        if node.target is operator.getitem or torch_internals.is_view(node.target):
            waiting += [n for n in node.all_input_nodes if n not in found]
    return found


def _is_pure(target: object) -> bool:
    if not torch_internals.is_operator(target):
        return getattr(target, "__module__", "") == "_operator"  # getitem and arithmetic on sizes
    return not torch_internals.is_random(target) and not torch_internals.writes(target)


def _key(node: fx.Node) -> Hashable:
    # The type stands beside each constant: 1, 1.0 and True are equal in Python but not to an operation.
    return (node.target, _frozen(node.args), _frozen(node.kwargs))


def _frozen(value: object) -> Hashable:
    if isinstance(value, (list, tuple)):
        return (type(value) is list, *map(_frozen, value))
    if isinstance(value, dict):
        return tuple((key, _frozen(v)) for key, v in sorted(value.items()))
    if isinstance(value, slice):
        return ("slice", _frozen(value.start), _frozen(value.stop), _frozen(value.step))
    if isinstance(value, float):
        return ("float", repr(value))  # -0.0 is not 0.0, and nan is nan
    return (type(value), value)


MERGE_DUPLICATES = Pass("merge_duplicates", "bitwise", merge_duplicates, "the same computation done twice")
