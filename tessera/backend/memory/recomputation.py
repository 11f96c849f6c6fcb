"""Values are computed again where the backward reads them, so that they need not be kept from the forward.

    before   h = mm(x, w);  y = gelu(h)     ...     dh = gelu_backward(dy, h)
    after    h = mm(x, w);  y = gelu(h)     ...     x2 = fence(x, dy);  h2 = mm(x2, w);  dh = gelu_backward(dy, h2)

Every value is computed again once, right before its first reader on the gradient side, from what is kept. Its operands
are read behind a fence that waits for the gradient that this reader takes.
"""

from __future__ import annotations

from collections.abc import Collection

from torch import fx

from tessera.backend.memory.fence import FENCE
from tessera.backend.memory.sides import Sides


def recompute(graph: fx.Graph, dropped: Collection[fx.Node], stays: Collection[fx.Node] = ()) -> list[fx.Node]:
    """Compute ``dropped`` again in the backward; changes the graph in place and returns the new computations.

    Args:
        stays: what is kept for it where it is needed, although it could be computed again too.
    """
    rewriting = _Rewriting(graph, Sides(graph), dropped, stays)
    rewriting.run()
    graph.eliminate_dead_code()
    left = set(graph.nodes)
    return [node for node in rewriting.again.values() if node in left]


class _Rewriting:
    def __init__(self, graph: fx.Graph, sides: Sides, dropped: Collection[fx.Node], stays: Collection[fx.Node]) -> None:
        self._graph, self._sides, self._dropped, self._stays = graph, sides, set(dropped), stays
        self._touched: dict[fx.Node, bool] = {}
        self._fences: dict[tuple[fx.Node, fx.Node], fx.Node] = {}
        self.again: dict[fx.Node, fx.Node] = {}

    def run(self) -> None:
        nodes = list(self._graph.nodes)
        for node in nodes:
            if not self._sides.is_gradient(node):
                self._touched[node] = self._is_touched(node)
        for reader in nodes:
            if not self._sides.is_gradient(reader):
                continue
            stale = [n for n in reader.all_input_nodes if self._touched.get(n)]
            behind = self._gradient_before(reader) if stale else None
            if behind is not None:
                for node in stale:
                    reader.replace_input_with(node, self._compute_again(node, behind, reader))

    def _is_touched(self, node: fx.Node) -> bool:
        """Whether it is dropped, or holds what is dropped without memory of its own before the backward."""
        if node in self._dropped:
            return True
        if node.op != "call_function" or self._sides.is_early_memory(node):
            return False
        return any(self._touched.get(n) for n in node.all_input_nodes)

    def _gradient_before(self, reader: fx.Node) -> fx.Node | None:
        """The gradient that ``reader`` takes: the nearest one in memory that it depends on."""
        waiting, seen = [reader], {reader}
        while waiting:
            node = waiting.pop(0)
            for n in node.all_input_nodes:
                if n not in seen and self._sides.is_gradient(n):
                    if self._sides.lies_in_memory(n):
                        return n
                    seen.add(n)
                    waiting.append(n)
        return None

    def _compute_again(self, node: fx.Node, behind: fx.Node, before: fx.Node) -> fx.Node:
        """``node`` again; what it takes is computed again first. Deep chains are no recursion."""
        waiting = [node]
        while waiting:
            one = waiting[-1]
            missing = [n for n in one.all_input_nodes if self._is_again(n) and n not in self.again]
            if missing:
                waiting += missing
                continue
            waiting.pop()
            if one not in self.again:
                self.again[one] = self._copy(one, behind, before)
        return self.again[node]

    def _is_again(self, node: fx.Node) -> bool:
        return node not in self._stays and not self._sides.is_source(node, self._dropped)

    def _copy(self, node: fx.Node, behind: fx.Node, before: fx.Node) -> fx.Node:
        inputs = node.all_input_nodes
        alone = not any(n.op == "call_function" and self._sides.is_tied(n) for n in inputs)
        new: dict[fx.Node, fx.Node] = {}
        for n in inputs:
            if n in self.again and self._is_again(n):
                new[n] = self.again[n]
            elif self._sides.is_tied(n) and (alone or n.op == "call_function"):
                new[n] = self._fenced(n, behind, before)
            else:
                new[n] = n
        with self._graph.inserting_before(before):
            copy = self._graph.node_copy(node, lambda n: new.get(n, n))
        copy.meta = {**node.meta, "again": True}
        return copy

    def _fenced(self, node: fx.Node, behind: fx.Node, before: fx.Node) -> fx.Node:
        if (node, behind) not in self._fences:
            with self._graph.inserting_before(before):
                fence = self._graph.call_function(FENCE, (node, behind))
            fence.meta = {"val": node.meta["val"], "phase": before.meta.get("phase")}
            self._fences[node, behind] = fence
        return self._fences[node, behind]
