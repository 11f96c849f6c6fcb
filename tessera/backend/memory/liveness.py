"""The memory of a Program, simulated on its graph: what exists when, run in the order of the graph.

Inductor computes pointwise operations in the loops of those who read them, so not every node has memory: a node has
when a library reads or writes it, when it is a result, and when to compute it twice would cost more than to keep it.
Writes at the end of a step happen in place. The simulation is what a plan is searched with; `rehearsal.py` says what
the code that came out really allocates.
"""

from __future__ import annotations

import operator
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import fx

from tessera import torch_internals
from tessera.backend.memory.fence import FENCE
from tessera.backend.memory.rehearsal import workspace
from tessera.backend.update_kernel import UPDATE_MANY
from tessera.program import COPY

aten = torch.ops.aten
_HEAVY = {
    *(aten.exp, aten.tanh, aten.sigmoid, aten.erf, aten.log, aten.pow, aten.rsqrt, aten.sqrt, aten.sin, aten.cos),
    *(aten.gelu, aten.silu, aten.log1p, aten.expm1),
}
_UNDECLARED_VIEWS = (aten._unsafe_view.default, aten._reshape_alias.default)  # noqa: SLF001
_REDUCTIONS = {
    *(aten.sum, aten.mean, aten.amax, aten.amin, aten.max, aten.min, aten.argmax, aten.argmin, aten.prod, aten.any),
    *(aten.all, aten.var, aten.var_mean, aten.logsumexp, aten.cumsum, aten.norm),
}


class Liveness:
    """Who owns memory in a graph, and who reads it.

    Attributes:
        order: position of every node.
    """

    def __init__(self, graph: fx.Graph) -> None:
        self.nodes = list(graph.nodes)
        self.order = {node: at for at, node in enumerate(self.nodes)}
        self._realised: dict[fx.Node, bool] = {}
        self._readers: dict[fx.Node, set[fx.Node]] = {}
        self._sources: dict[fx.Node, list[fx.Node]] = {}
        for node in reversed(self.nodes):
            self._readers[node] = set(self._find_readers(node))
            self._realised[node] = self._is_realised(node)
            if self._realised[node]:
                for reader in self._readers[node]:
                    self._sources.setdefault(reader, []).append(node)

    def realised(self, node: fx.Node) -> bool:
        """Whether the value is computed into memory of its own."""
        return self._realised[node]

    def readers(self, node: fx.Node) -> set[fx.Node]:
        """Whoever reads the memory that the value lies in, or is computed from: not views, nor what is fused."""
        return self._readers[node]

    def last_read(self, node: fx.Node) -> int:
        """Position of the last of them."""
        return max((self.order[reader] for reader in self._readers[node]), default=self.order[node])

    def peak(self) -> Peak:
        """Bytes that exist at once at most, besides the inputs, and what they are."""
        ends: dict[int, list[fx.Node]] = {}
        live: dict[fx.Node, int] = {}
        total = highest = 0
        where, held = self.nodes[0], {}
        for at, node in enumerate(self.nodes):
            if self._realised[node] and (size := size_of(node)):
                if (reused := self._reused(node, size)) in live:
                    total -= live.pop(reused)
                ends.setdefault(max(at, self.last_read(node)), []).append(node)
                live[node] = size
                total += size
                now = total + (workspace(node.target, node.args) if node.op == "call_function" else 0)
                if now > highest:
                    highest, where, held = now, node, dict(live)
            for gone in ends.pop(at, ()):
                total -= live.pop(gone, 0)
        return Peak(highest, where, held)

    def _reused(self, node: fx.Node, size: int) -> fx.Node | None:
        """Whose memory a loop writes its result into: what nobody else reads."""
        if not torch_internals.is_fused(node.target) or _packet(node) in _REDUCTIONS:
            return None
        sources = (owner(source) for source in self._sources.get(node, ()))
        return next((s for s in sources if self._readers[s] == {node} and size_of(s) == size), None)

    def _find_readers(self, node: fx.Node) -> Iterator[fx.Node]:
        for user in node.users:
            passes_on = is_view(user) or (user.op == "call_function" and not self._realised.get(user, True))
            if passes_on and not (user.target is FENCE and user.args[0] is not node):
                yield from self._readers[user]
                if is_view(user):
                    continue
            yield user

    def _is_realised(self, node: fx.Node) -> bool:
        if node.op != "call_function" or is_view(node) or node.target in (COPY, UPDATE_MANY):
            return False
        if not torch_internals.is_fused(node.target) or _packet(node) in _REDUCTIONS:
            return True
        users = list(_through_views(node))
        if any(not (user.op == "call_function" and torch_internals.is_fused(user.target)) for user in users):
            return not all(user.target is COPY for user in users)
        return len(users) > 1 and (_packet(node) in _HEAVY or _reads(node) > _MOST_READS)


_MOST_READS = 4  # of other values, of one that is computed in the loops of several readers


@dataclass(frozen=True)
class Peak:
    """``size`` bytes, when ``where`` was computed; ``held`` are the values in memory then, with their bytes."""

    size: int
    where: fx.Node
    held: dict[fx.Node, int]


def is_view(node: fx.Node) -> bool:
    """Whether the value lies in the memory of another one."""
    if node.op != "call_function":
        return False
    return node.target in (operator.getitem, *_UNDECLARED_VIEWS) or torch_internals.is_view(node.target)


def owner(node: fx.Node) -> fx.Node:
    """Whose memory a value lies in."""
    while is_view(node):
        node = node.all_input_nodes[0]
    return node


def size_of(node: fx.Node) -> int:
    """Bytes of a value, with the sizes that it had when it was captured."""
    return sum(
        int(torch_internals.size_hint(tensor.numel())) * tensor.dtype.itemsize
        for tensor in torch_internals.tensors_in(node.meta.get("val"))
    )


def _through_views(node: fx.Node) -> Iterator[fx.Node]:
    for user in node.users:
        if is_view(user) and user.target is not FENCE:
            yield from _through_views(user)
        else:
            yield user


def _reads(node: fx.Node) -> int:
    """How many values in memory the loop of a fused node reads; stops counting soon."""
    found: set[fx.Node] = set()
    waiting = list(node.all_input_nodes)
    while waiting and len(found) <= _MOST_READS:
        source = owner(waiting.pop())
        is_fused = source.op == "call_function" and torch_internals.is_fused(source.target)
        if is_fused and _packet(source) not in _REDUCTIONS:
            waiting += source.all_input_nodes
        else:
            found.add(source)
    return len(found)


def _packet(node: fx.Node) -> Any:
    return getattr(node.target, "overloadpacket", None)
