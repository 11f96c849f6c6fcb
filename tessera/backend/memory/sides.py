"""The two sides of a training step's graph, what is kept between them, and what can be computed again.

    forward side    what depends on no gradient, in whatever part of the step it is computed
    gradient side   what depends on the gradient of the loss
    kept            a value of the forward side that lies in memory when the backward begins and is read in it

A value can be computed again from what is kept and from inputs. What draws random numbers, writes or hides what it does
is not computed again, nor what is made of updated parameters alone: nothing would tie it to the backward.
"""

from __future__ import annotations

import bisect
import operator
from collections.abc import Collection
from typing import Any

import torch
from torch import fx

from tessera import torch_internals
from tessera.backend.memory.liveness import Liveness, is_view, owner
from tessera.backend.rows.chunked import IN_CHUNKS
from tessera.backend.update_kernel import UPDATE_MANY
from tessera.program import COPY, Phase


class Sides:
    """Who is on which side.

    Attributes:
        liveness: of the graph.
        kept: values of the forward side that are read in the backward, each with the node that this backward begins at.
    """

    def __init__(self, graph: fx.Graph) -> None:
        self.liveness = Liveness(graph)
        written = {destination for node in graph.nodes for destination in _written(node)}
        self._gradient = _gradient_side(graph)
        self._tied: set[fx.Node] = set()
        self._repeatable: dict[fx.Node, bool] = {}
        for node in graph.nodes:
            if node.op == "placeholder":
                tied = node not in written and isinstance(node.meta.get("val"), torch.Tensor)
            else:
                tied = not self._tied.isdisjoint(node.all_input_nodes)
            if tied:
                self._tied.add(node)
        order = self.liveness.order
        starts = sorted(order[n] for n in self._gradient if not self._gradient.isdisjoint(n.all_input_nodes))
        self.kept: dict[fx.Node, fx.Node] = {}
        for node in graph.nodes:
            if node in self._gradient or node.meta.get("again") or not self.liveness.realised(node):
                continue
            after = bisect.bisect(starts, order[node])
            if after < len(starts) and self.liveness.last_read(node) >= starts[after]:
                self.kept[node] = self.liveness.nodes[starts[after]]

    def is_gradient(self, node: fx.Node) -> bool:
        """Whether it is on the gradient side."""
        return node in self._gradient

    def is_early_memory(self, node: fx.Node) -> bool:
        """Whether it is computed into memory by the forward."""
        return self.liveness.realised(node) and node.meta.get("phase") is not Phase.BACKWARD

    def lies_in_memory(self, node: fx.Node) -> bool:
        """Whether there is memory that holds it, its own or another's."""
        return isinstance(node.meta.get("val"), torch.Tensor) and self.liveness.realised(owner(node))

    def is_tied(self, node: fx.Node) -> bool:
        """Whether it depends on something that a fence can stand before: anything but updated parameters alone."""
        return node in self._tied

    def can_be_repeated(self, node: fx.Node) -> bool:
        """Whether computing it twice gives the same value twice, and the second time can be put off."""
        if node not in self._repeatable:
            self._repeatable[node] = self._can_be_repeated(node)
        return self._repeatable[node]

    def _can_be_repeated(self, node: fx.Node) -> bool:
        if node.op != "call_function" or node in self._gradient or node not in self._tied:
            return False
        if node.target is operator.getitem:
            return self.can_be_repeated(node.all_input_nodes[0])
        operator_: Any = node.target
        return (
            torch_internals.is_operator(operator_)
            and operator_.namespace in ("aten", "prims")  # nobody knows what others cost, or hide
            and not torch_internals.draws_random_numbers(node)
            and not torch_internals.writes(operator_)
            and not node.is_impure()
        )

    def is_source(self, node: fx.Node, dropped: Collection[fx.Node]) -> bool:
        """Whether computing again begins at it: it is there anyway, or has to be."""
        if node.target is operator.getitem:
            return self.is_source(node.all_input_nodes[0], dropped)
        return (node in self.kept and node not in dropped) or not self.can_be_repeated(node)

    def repeated(self, node: fx.Node, dropped: Collection[fx.Node]) -> tuple[set[fx.Node], set[fx.Node]]:
        """What is computed again to have ``node`` again, and what besides the inputs that begins at."""
        found: set[fx.Node] = set()
        sources: set[fx.Node] = set()
        waiting = [node]
        while waiting:
            one = waiting.pop()
            if one in found:
                continue
            found.add(one)
            for n in one.all_input_nodes:
                if not self.is_source(n, dropped):
                    waiting.append(n)
                elif n.op == "call_function":
                    sources.add(n)
        return found, sources


def _gradient_side(graph: fx.Graph) -> set[fx.Node]:
    """The gradient of the loss, which is made of nothing that the forward computes, and all that follows from it."""
    forward: set[fx.Node] = set()
    gradient: set[fx.Node] = set()
    for node in graph.nodes:
        if node.op != "call_function":
            continue
        phase, inputs = node.meta.get("phase"), node.all_input_nodes
        follows = not gradient.isdisjoint(inputs)
        if node.target is IN_CHUNKS or (follows and phase is not Phase.FORWARD):
            gradient.add(node)
        elif follows or phase in (Phase.FORWARD, None) or not forward.isdisjoint(inputs):
            forward.add(node)
        elif not is_view(node):  # a view of a parameter is neither
            gradient.add(node)
    return gradient


def _written(node: fx.Node) -> list[Any]:
    if node.target is COPY:
        return [node.args[0]]
    return list(node.args[2]) if node.target is UPDATE_MANY else []  # type: ignore[arg-type]
