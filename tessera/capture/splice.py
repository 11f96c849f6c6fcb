"""Adds further computation to the end of a graph that was captured before."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from torch import fx

from tessera import torch_internals
from tessera.program import Phase


class Splicer:
    """Appends traced tensor code to a graph; every appended node is marked with its phase."""

    def __init__(self, graph_module: fx.GraphModule, fake_mode: Any) -> None:
        self.graph_module, self.fake_mode = graph_module, fake_mode

    def input(self, name: str, value: Any) -> fx.Node:
        """Add an input after the last one; ``value`` is a real example."""
        graph = self.graph_module.graph
        placeholders = list(graph.find_nodes(op="placeholder"))
        with graph.inserting_after(placeholders[-1]):
            node = graph.placeholder(f"{name}_{len(placeholders)}")
        node.meta["val"] = torch_internals.fake_copy(self.fake_mode, value)
        return node

    def append(
        self,
        function: Callable[..., Sequence[Any]],
        inputs: Sequence[fx.Node],
        phase: Phase,
        before: fx.Node | None = None,
    ) -> list[fx.Node]:
        """Trace ``function`` on the fake values of ``inputs`` and add what it does; returns its results' nodes.

        It stands at the end of the graph, or before the node ``before``.
        """
        traced = torch_internals.trace(function, *(n.meta["val"] for n in inputs), fake_mode=self.fake_mode)
        graph = self.graph_module.graph
        where = before or graph.output_node()
        mapping = dict(zip(traced.graph.find_nodes(op="placeholder"), inputs, strict=True))
        for node in traced.graph.nodes:
            if node.op in ("placeholder", "output"):
                continue
            with graph.inserting_before(where):
                new = graph.node_copy(node, mapping.__getitem__)
            if node.op == "get_attr":
                new.target = self._adopt(getattr(traced, node.target))
            new.meta["phase"] = phase
            mapping[node] = new
        (results,) = traced.graph.output_node().args
        return [mapping[node] for node in results]  # type: ignore[union-attr]

    def _adopt(self, constant: Any) -> str:
        name = f"_spliced_constant{sum(1 for _ in self.graph_module.named_buffers())}"
        self.graph_module.register_buffer(name, constant)
        return name


def returned_nodes(graph_module: fx.GraphModule) -> list[fx.Node]:
    """What a graph returns."""
    (results,) = graph_module.graph.output_node().args
    return list(results)  # type: ignore[arg-type]
