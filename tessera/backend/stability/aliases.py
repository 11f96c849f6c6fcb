"""Which nodes of a captured graph are the same memory, where it writes to some."""

from __future__ import annotations

from torch import Tensor, fx

from tessera import torch_internals
from tessera.backend.stability.spelling import call_of, example


class Aliases:
    """Which nodes are the same memory, in a graph that writes to some."""

    def __init__(self, graph: fx.Graph) -> None:
        calls = {node: call_of(node) for node in graph.nodes}
        written = {node: call for node, call in calls.items() if call is not None and call.writes}
        self._same: dict[fx.Node, list[fx.Node]] = {}
        self._memory: dict[int, list[fx.Node]] = {}
        self._written: set[int] = set()
        if not written:
            return
        for node in graph.nodes:
            if (memory := self._memory_of(node)) is not None:
                self._memory.setdefault(memory, []).append(node)
        for node, call in written.items():
            for one in (node, *(a for a in (*call.args[:1], call.kwargs.get("out")) if isinstance(a, fx.Node))):
                if (memory := self._memory_of(one)) is not None:
                    self._written.add(memory)

    @staticmethod
    def _memory_of(node: fx.Node) -> int | None:
        value = example(node)
        return torch_internals.memory_of(value) if isinstance(value, Tensor) else None

    def is_written(self, node: fx.Node) -> bool:
        return bool(self._written) and self._memory_of(node) in self._written

    def of(self, node: fx.Node) -> tuple[list[fx.Node], list[fx.Node]]:
        """The nodes that are just ``node``, and those that show its memory otherwise."""
        value = example(node)
        members = self._memory.get(self._memory_of(node) or 0, [node])
        same = [one for one in members if example(one) is value or one is node]
        return same, [one for one in members if one not in same]
