"""What is cheap to have again is computed where it is read, so that little has to cross the border of a region.

    before   t = tanh(h);  y = mm(t * u, w)  ...  g = dy * (1 - t * t)      t is stored for the backward
    after    t = tanh(h);  y = mm(t * u, w)  ...  t' = tanh(h); g = dy * (1 - t' * t')

Views move to their readers, and pointwise arithmetic of the forward is written again at its reader in the backward.
That is what Inductor's fusion does within one graph.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import fx

from tessera import torch_internals
from tessera.backend.update_kernel import UPDATE_MANY
from tessera.program import COPY, Phase

aten = torch.ops.aten
_MOST_READS = 4  # values from memory that one recomputation may need
_SIMPLE = {  # the rest takes longer than reading a stored value
    *(aten.add, aten.sub, aten.rsub, aten.mul, aten.div, aten.neg, aten.abs, aten.reciprocal, aten.rsqrt, aten.sqrt),
    *(aten.relu, aten.maximum, aten.minimum, aten.clamp, aten.clamp_min, aten.clamp_max, aten.where, aten.full),
    *(aten.eq, aten.ne, aten.lt, aten.le, aten.gt, aten.ge, aten.logical_not, aten.bitwise_not),
    *(torch.ops.prims.convert_element_type, aten.full_like, aten.scalar_tensor),
}
_UNDECLARED_VIEWS = {aten._unsafe_view.default, aten._reshape_alias.default}  # noqa: SLF001


def is_view(node: fx.Node) -> bool:
    """Whether a node only looks at the memory of another, or takes one result out of several such."""
    if node.op != "call_function":
        return False
    if torch_internals.is_operator(node.target):
        return torch_internals.is_view(node.target) or node.target in _UNDECLARED_VIEWS
    return is_selection(node) and is_view(node.args[0])  # type: ignore[arg-type]


def is_selection(node: fx.Node) -> bool:
    """Whether a node takes one of several results."""
    return node.op == "call_function" and getattr(node.target, "__name__", "") == "getitem"


def base_of(node: fx.Node) -> fx.Node:
    """The node whose memory ``node`` looks at: itself, if it is no view."""
    while is_view(node):
        node = node.all_input_nodes[0]
    return node


def keep_borders_small(graph: fx.Graph) -> None:
    """Rewrite ``graph`` as drawn above. What nobody reads any more is left for dead code elimination."""
    nodes = list(graph.nodes)
    first_write = next(n for n in nodes if n.target in (COPY, UPDATE_MANY) or n.op == "output")
    cheap = _Cheap(nodes)
    written = False
    for node in nodes:
        written = written or node is first_write
        if node.op not in ("call_function", "output") or is_view(node):
            continue
        backward = node.meta.get("phase") is Phase.BACKWARD
        again: dict[fx.Node, fx.Node] = {}
        with graph.inserting_before(first_write if written else node):
            found = {n: _again(graph, n, again, cheap if backward else None) for n in node.all_input_nodes}
        for old, new in found.items():
            if new is not old:
                node.replace_input_with(old, new)


def _again(graph: fx.Graph, node: fx.Node, again: dict[fx.Node, fx.Node], cheap: _Cheap | None) -> fx.Node:
    """``node``, or a copy of it where the graph stands now."""
    if not is_view(node) and (cheap is None or node not in cheap):
        return node
    if node not in again:
        copied = graph.node_copy(node, lambda n: _again(graph, n, again, cheap))
        if cheap is not None:
            copied.meta["phase"] = Phase.BACKWARD
        again[node] = copied
    return again[node]


class _Cheap:
    """Pointwise arithmetic of the forward that is not written to memory there and needs few values to be had again."""

    def __init__(self, nodes: list[fx.Node]) -> None:
        self._reads: dict[fx.Node, frozenset[fx.Node]] = {}
        for node in nodes:
            if node.meta.get("phase") is Phase.FORWARD and _is_arithmetic(node) and not _is_stored(node):
                reads = frozenset[fx.Node]().union(*(self._read(base_of(n)) for n in node.all_input_nodes))
                if len(reads) <= _MOST_READS and not any(_is_random(n) for n in reads):
                    self._reads[node] = reads

    def __contains__(self, node: fx.Node) -> bool:
        return node in self._reads

    def _read(self, node: fx.Node) -> frozenset[fx.Node]:
        return self._reads.get(node, frozenset((node,)))


def _is_arithmetic(node: fx.Node) -> bool:
    target: Any = node.target
    if node.op != "call_function" or not torch_internals.is_operator(target) or is_view(node):
        return False
    return not torch_internals.writes(target) and target.overloadpacket in _SIMPLE


def _is_stored(node: fx.Node) -> bool:
    """Whether something else than arithmetic of the forward reads it there: a product, a sum, the caller."""
    waiting = list(node.users)
    while waiting:
        user = waiting.pop()
        if is_view(user):
            waiting += user.users
        elif user.meta.get("phase") is not Phase.BACKWARD and not _is_pointwise(user):
            return True
    return False


def _is_pointwise(node: fx.Node) -> bool:
    return torch_internals.is_operator(node.target) and torch.Tag.pointwise in node.target.tags  # type: ignore[union-attr]


def _is_random(node: fx.Node) -> bool:
    return torch_internals.is_operator(node.target) and torch_internals.is_random(node.target)
