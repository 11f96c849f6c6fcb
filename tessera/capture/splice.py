"""Adds further computation to the end of a graph that was captured before."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Any

import torch
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
        return self._add(self._traced(function, inputs), inputs, phase, before)[0]

    def append_each(
        self,
        function: Callable[..., Sequence[Any]],
        members: Sequence[Sequence[fx.Node]],
        shared: Sequence[fx.Node],
        phase: Phase,
    ) -> list[list[fx.Node]]:
        """``append`` for ``[*member, *shared]`` of each member; what is alike is traced once and copied."""
        known: dict[Hashable, tuple[fx.GraphModule, dict[fx.Node, fx.Node]]] = {}
        results = []
        for member in members:
            inputs = [*member, *shared]
            key = tuple((v.dtype, v.device, tuple(v.shape), v.stride()) for v in (n.meta["val"] for n in inputs))
            if key in known:
                results.append(self._add_again(*known[key], member, phase))
            else:
                traced = self._traced(function, inputs)
                new, mapping = self._add(traced, inputs, phase, None)
                known[key] = traced, mapping
                results.append(new)
        return results

    def _traced(self, function: Callable[..., Sequence[Any]], inputs: Sequence[fx.Node]) -> fx.GraphModule:
        return torch_internals.trace(function, *(n.meta["val"] for n in inputs), fake_mode=self.fake_mode)

    def _add(
        self, traced: fx.GraphModule, inputs: Sequence[fx.Node], phase: Phase, before: fx.Node | None
    ) -> tuple[list[fx.Node], dict[fx.Node, fx.Node]]:
        """Its results, and what stands for each of its nodes."""
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
        return [mapping[node] for node in returned_nodes(traced)], mapping

    def _add_again(
        self, traced: fx.GraphModule, first: dict[fx.Node, fx.Node], member: Sequence[fx.Node], phase: Phase
    ) -> list[fx.Node]:
        """The same for another member; what depends on no member is there already."""
        graph, mapping = self.graph_module.graph, dict(first)
        own = dict(zip(traced.graph.find_nodes(op="placeholder"), member, strict=False))
        mapping |= own
        for node in traced.graph.nodes:
            if node.op == "call_function" and not own.keys().isdisjoint(node.all_input_nodes):
                with graph.inserting_before(graph.output_node()):
                    own[node] = mapping[node] = new = graph.node_copy(node, mapping.__getitem__)
                new.meta["phase"] = phase
                args, kwargs = fx.node.map_arg((new.args, new.kwargs), lambda n: n.meta["val"])
                with (
                    torch.no_grad(),
                    self.fake_mode,
                ):  # memory of its own, so that nobody takes it for that of the first
                    new.meta["val"] = node.target(*args, **kwargs)
        return [mapping[node] for node in returned_nodes(traced)]

    def _adopt(self, constant: Any) -> str:
        name = f"_spliced_constant{sum(1 for _ in self.graph_module.named_buffers())}"
        self.graph_module.register_buffer(name, constant)
        return name


def returned_nodes(graph_module: fx.GraphModule) -> list[fx.Node]:
    """What a graph returns."""
    (results,) = graph_module.graph.output_node().args
    return list(results)  # type: ignore[arg-type]
