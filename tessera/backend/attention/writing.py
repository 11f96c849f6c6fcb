"""Writes tensor operations into a graph that Dynamo captured, of values that its ATen trace names."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import fx

from tessera import torch_internals
from tessera.backend.attention.axes import Dim, behind, settled, size_of
from tessera.backend.attention.forward_trace import ForwardTrace
from tessera.backend.attention.recognise import NotAttention, Shown

Call = Callable[..., Any]  # makes a node of a function and its arguments, or calls it


class Writer:
    """Writes before one node of a captured graph."""

    def __init__(self, captured: fx.Graph, trace: ForwardTrace, before: fx.Node) -> None:
        self._graph, self._trace, self._before = captured, trace, before
        self._written: dict[fx.Node, fx.Node] = {}
        self._made: list[fx.Node] = []
        self._known = set()
        for node in captured.nodes:
            if node is before:
                break
            self._known.add(node)

    def call(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> fx.Node:
        with self._graph.inserting_before(self._before):
            node = self._graph.call_function(function, args, kwargs)
        node.meta = {k: v for k, v in self._before.meta.items() if k != "example_value"}
        self._made.append(node)
        return node

    def put(self, operation: fx.Node, node: fx.Node) -> None:
        """``node`` stands for the result of ``operation`` from now on."""
        self._written[operation] = node

    def value(self, operation: fx.Node) -> fx.Node:
        """The result of an operation, in the captured graph: where it holds it, or computed once more.

        Raises:
            NotAttention: it cannot be computed again.
        """
        if operation in self._written:
            return self._written[operation]
        if (held := self._trace.held_by.get(operation)) in self._known:
            return held  # type: ignore[return-value]
        target: Any = operation.target
        if operation.op != "call_function" or (torch_internals.is_operator(target) and not _repeatable(target)):
            raise NotAttention("an operand of it is written to, or drawn at random")
        args, kwargs = fx.node.map_arg((operation.args, operation.kwargs), self.value)
        self._written[operation] = self.call(target, *args, **kwargs)
        return self._written[operation]

    def source(self, shown: Shown) -> Shown:
        """What a tensor only shows in another shape: as far behind it as the captured graph holds it."""
        found, node, layout = shown, shown.node, settled(shown.layout)
        while (layout_behind := behind(node, settled(layout))) is not None:
            node, layout = node.args[0], layout_behind  # type: ignore[assignment]
            if self._trace.held_by.get(node) in self._known:
                found = Shown(node, layout)
        return found

    def undo(self) -> None:
        """Take out all that was written."""
        for node in reversed(self._made):
            self._graph.erase_node(node)


def _repeatable(operator: Any) -> bool:
    return not torch_internals.is_random(operator) and not torch_internals.writes(operator)


def arranged(call: Call, tensor: Any, shown: Shown, groups: Sequence[Dim], *, whole: bool) -> Any:
    """A tensor with one dimension for each group of axes.

    A group that it does not show has size 1, or all of its size where it is to be ``whole``.
    """
    layout, shape = settled(shown.layout), shown.node.meta["val"].shape
    for at, (dim, size) in enumerate(zip(layout, shape, strict=True)):
        if not dim and size > 1:
            tensor = call(torch.narrow, tensor, at, 0, 1)
    there = [axis for dim in layout for axis in dim]
    wanted = [axis for group in groups for axis in group]
    tensor = call(torch.reshape, tensor, [axis.size for axis in there])
    tensor = call(torch.permute, tensor, [there.index(axis) for axis in wanted if axis in there])
    full = [whole or any(axis in there for axis in group) for group in groups]
    sizes = [size_of(group) if one else 1 for group, one in zip(groups, full, strict=True)]
    spread = [axis.size if one else 1 for group, one in zip(groups, full, strict=True) for axis in group]
    shown_sizes = [axis.size if axis in there else 1 for axis in wanted]
    tensor = call(torch.reshape, tensor, shown_sizes)
    if spread != shown_sizes:
        tensor = call(torch.Tensor.expand, tensor, spread)
    return call(torch.reshape, tensor, sizes)


def spread_size(shown: Shown, groups: Sequence[Dim]) -> int:
    """How many elements ``arranged`` makes of a tensor that need not be whole."""
    there = {axis for dim in settled(shown.layout) for axis in dim}
    return math.prod(size_of(group) for group in groups if not there.isdisjoint(group))
