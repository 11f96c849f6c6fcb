"""The ATen operations behind a graph that Dynamo captured, and where its values are among them.

Dynamo's graph is what is rewritten, for autograd has not seen it yet; but it spells one thing in many ways: methods and
functions, ``einsum``, writes in place. Traced without gradients and writes it is the same few operations however it
was spelled. A value of Dynamo's graph that is written to after it was made stands for none of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx

from tessera import torch_internals


@dataclass(frozen=True)
class ForwardTrace:
    """What a captured graph computes, as ATen operations without writes.

    Attributes:
        graph: the operations.
        held_by: operation -> the first node of the captured graph whose value its result is, from then on.
        made_by: the operation whose result each node of the captured graph was when it was made.
        results: the operations whose results the captured graph returns.
        live: the operations that lead to what the captured graph returns or writes to its inputs.
        trained: the operations whose result a gradient flows through, if gradients are recorded at all.
    """

    graph: fx.Graph
    held_by: dict[fx.Node, fx.Node]
    made_by: dict[fx.Node, fx.Node]
    results: set[fx.Node]
    live: set[fx.Node]
    trained: set[fx.Node]


def trace_forward(captured: fx.GraphModule, inputs: Sequence[Any]) -> ForwardTrace | None:
    """Trace a captured graph; None where it takes anything but tensors, or their sizes change."""
    constants = [getattr(captured, str(n.target)) for n in captured.graph.find_nodes(op="get_attr")]
    if not all(isinstance(value, Tensor) for value in inputs) or any(isinstance(c, Tensor) for c in constants):
        return None
    placeholders = captured.graph.find_nodes(op="placeholder")
    sizes = [n.meta["example_value"].shape for n in placeholders if isinstance(n.meta.get("example_value"), Tensor)]
    if not all(isinstance(size, int) for shape in sizes for size in shape):
        return None
    names: list[fx.Node] = []
    fake_mode = torch_internals.new_fake_mode()

    def run(*values: Tensor) -> list[Tensor]:
        recording = _Recording(captured)
        returned = recording.run(*values)
        names[:] = recording.made
        return [
            *recording.made.values(),
            *(recording.env[node] for node in recording.made),
            *torch_internals.tensors_in(returned),
        ]

    state = torch.get_rng_state()
    try:
        with torch.no_grad():
            fakes = [torch_internals.fake_copy(fake_mode, value.detach()) for value in inputs]
            functional = torch.func.functionalize(run, remove="mutations")
            traced = torch_internals.trace(functional, *fakes, fake_mode=fake_mode, decompose=False)
    finally:
        torch.set_rng_state(state)
    graph = traced.graph
    returned = list(graph.output_node().args[0])  # type: ignore[arg-type]
    made, now = returned[: len(names)], returned[len(names) : 2 * len(names)]
    held_by: dict[fx.Node, fx.Node] = {}
    made_by: dict[fx.Node, fx.Node] = {}
    for node, copied, value in zip(names, made, now, strict=True):
        made_by[node] = copied.args[0]
        if copied.args[0] is value:
            held_by.setdefault(value, node)
    results = set(returned[2 * len(names) :])
    live = _above([*results, *(n for n in graph.nodes if _writes(n))])
    wanted = {
        node
        for node, value in zip(graph.find_nodes(op="placeholder"), inputs, strict=True)
        if value.requires_grad and torch.is_grad_enabled()
    }
    return ForwardTrace(graph, held_by, made_by, results, live, _trained(graph, wanted))


class _Recording(fx.Interpreter):
    """Runs a graph and keeps a copy of each tensor as it was when it was made."""

    def __init__(self, captured: fx.GraphModule) -> None:
        super().__init__(captured, garbage_collect_values=False)
        self.made: dict[fx.Node, Tensor] = {}

    def run_node(self, n: fx.Node) -> Any:
        result = super().run_node(n)
        if isinstance(result, Tensor) and n.op != "output":
            self.made[n] = torch.ops.aten.alias_copy.default(result)
        return result


def _writes(node: fx.Node) -> bool:
    return torch_internals.is_operator(node.target) and torch_internals.writes(node.target)


def _above(nodes: Iterable[Any]) -> set[fx.Node]:
    """The nodes, and all that they are computed from."""
    found: set[fx.Node] = set()
    waiting = [node for node in nodes if isinstance(node, fx.Node)]
    while waiting:
        node = waiting.pop()
        if node not in found:
            found.add(node)
            waiting += node.all_input_nodes
    return found


def _trained(graph: fx.Graph, wanted: set[fx.Node]) -> set[fx.Node]:
    for node in graph.nodes:
        value = node.meta.get("val")
        stops = node.target is torch.ops.aten.detach.default or (
            isinstance(value, Tensor) and not (value.is_floating_point() or value.is_complex())
        )
        if not stops and not wanted.isdisjoint(node.all_input_nodes):
            wanted.add(node)
    return wanted
