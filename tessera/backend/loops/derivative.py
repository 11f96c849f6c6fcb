"""The loop that is the derivative of a loop.

    turn       carry, x, shared                     ->  carry', y
    forward    carry, x, shared                     ->  carry', y, kept
    backward   d carry', d y, kept, x, shared       ->  d carry, d x, factors

The gradient of what all turns share is a sum over all turns. Where each summand is a product or a sum over rows, the
loop only stacks the factors, and one product over all turns together follows behind it; else the loop adds up itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, fx

from tessera import torch_internals
from tessera.backend.loops.body import Body, Like, like, trace_body
from tessera.backend.loops.sums import sum_over_turns

_HALF = (torch.bfloat16, torch.float16)


@dataclass(frozen=True)
class Stack:
    """Where a value of every turn lies, one behind the other.

    Attributes:
        kind: ``x`` of the loop's ``xs``, ``y`` of what the forward loop stacks, ``g`` of what the backward loop does.
        index: which of them.
    """

    kind: str
    index: int


@dataclass(frozen=True)
class Derivative:
    """Two loops: one that keeps what its derivative needs, and the derivative, which runs the other way.

    Attributes:
        forward: the turn, with what is kept behind its ``ys``.
        backward: its carries are the gradients of ``carried``, then the sums it adds up itself; its ``xs`` are the
            gradients of ``results``, then ``stacks``; its ``ys`` are the gradients of ``xs``, then factors.
        carried: positions of the carries that have a gradient.
        xs: positions of those that have one.
        shared: likewise.
        results: positions of the ``ys`` that have one.
        stacks: what the backward turn takes of the forward one.
        uses: positions of what it shares with it.
        sums: of the gradient of each of ``shared``; None: it is a carry of ``backward``.
    """

    forward: Body
    backward: Body
    carried: tuple[int, ...]
    xs: tuple[int, ...]
    shared: tuple[int, ...]
    results: tuple[int, ...]
    stacks: tuple[Stack, ...]
    uses: tuple[int, ...]
    sums: tuple[tuple[tuple[Stack, ...], Callable[..., Tensor]] | None, ...]


def differentiate(body: Body, xs: Sequence[int], shared: Sequence[int]) -> Derivative:
    """The derivative of a loop by its carries of floating point, and by those of ``xs`` and ``shared``."""
    joint = _Joint(body, xs, shared)
    count, order = len(body.carries), {node: i for i, node in enumerate(joint.graph.nodes)}
    sums = [sum_over_turns(node) for node in joint.of_shared]
    sums = [None if s is None or any(map(joint.is_constant, s.factors)) else s for s in sums]
    added = [node for node, found in zip(joint.of_shared, sums, strict=True) if found is None]
    factors = list(dict.fromkeys(factor for found in sums if found for factor in found.factors))
    stacked = [*joint.of_xs, *(f for f in factors if f in joint.later and f not in joint.of_xs)]

    met, uses = joint.met([*joint.of_carries, *added, *stacked])
    needed = sorted({*met, *(f for f in factors if f not in joint.later)}, key=order.__getitem__)
    ys = joint.returned[count:]
    kept = [node for node in needed if node not in joint.xs and node not in ys]
    forward = trace_body(joint.turn(joint.operands, [*joint.returned, *kept]), body.carries, body.xs, body.shared)
    places = {node: Stack("y", i) for i, node in reversed(list(enumerate([*ys, *kept])))}
    places |= {node: Stack("x", i) for i, node in enumerate(joint.xs)}
    places |= {node: Stack("g", i) for i, node in reversed(list(enumerate(stacked)))}

    of_carried, of_results = joint.tangents[: len(joint.carried)], joint.tangents[len(joint.carried) :]
    compute = joint.turn(
        [*of_carried, *of_results, *needed, *uses], [*joint.of_carries, *added, *stacked]
    )  # fmt: skip
    first, last = len(of_carried), len(of_carried) + len(added)

    def turn(*flat: Tensor) -> list[Tensor]:
        found = compute(*flat[:first], *flat[last:])
        totals = [total + one for total, one in zip(flat[first:last], found[first:last], strict=True)]
        return [*found[:first], *totals, *found[last:]]

    backward = trace_body(
        turn,
        [*_likes(of_carried), *(_summed(one) for one in _likes(added))],
        _likes([*of_results, *needed]),
        _likes(uses),
    )
    return Derivative(
        forward,
        backward,
        joint.carried,
        tuple(xs),
        tuple(shared),
        tuple(i - count for i in joint.floating if i >= count),
        tuple(places[node] for node in needed),
        tuple(joint.shared.index(node) for node in uses),
        tuple(None if s is None else (tuple(places[f] for f in s.factors), s.total) for s in sums),
    )


class _Joint:
    """A turn and its derivative as one graph."""

    def __init__(self, body: Body, xs: Sequence[int], shared: Sequence[int]) -> None:
        self._body = body
        count, first_shared = len(body.carries), len(body.carries) + len(body.xs)
        results = [like(node.meta["val"]) for node in body.returned]
        self.carried = tuple(i for i, one in enumerate(body.carries) if one.dtype.is_floating_point)
        self.floating = [i for i, one in enumerate(results) if one.dtype.is_floating_point]
        self._wanted = [*self.carried, *(count + i for i in xs), *(first_shared + i for i in shared)]
        makers = [one.empty for one in (*body.operands, *(results[i] for i in self.floating))]
        self._module = torch_internals.trace_aside(self._forward_and_backward, makers)
        self.graph = self._module.graph
        _remove_aliases(self.graph)
        placeholders = list(self.graph.find_nodes(op="placeholder"))
        self.operands, self.tangents = placeholders[: len(body.operands)], placeholders[len(body.operands) :]
        self.xs, self.shared = self.operands[count:first_shared], self.operands[first_shared:]
        everything: list[fx.Node] = list(self.graph.output_node().args[0])  # type: ignore[arg-type]
        self.returned, gradients = everything[: len(results)], everything[len(results) :]
        ends = len(self.carried), len(self.carried) + len(xs)
        self.of_carries, self.of_xs = gradients[: ends[0]], gradients[ends[0] : ends[1]]
        self.of_shared = gradients[ends[1] :]
        self.later: set[fx.Node] = set(self.tangents)
        for node in self.graph.nodes:
            if not self.later.isdisjoint(node.all_input_nodes):
                self.later.add(node)

    def _forward_and_backward(self, *flat: Tensor) -> list[Tensor]:
        operands = list(flat[: len(self._body.operands)])
        for i in self._wanted:
            operands[i] = operands[i].detach().requires_grad_()
        results = self._body.graph(*operands)
        pairs = zip(self.floating, flat[len(operands) :], strict=True)
        depending = [(results[i], gradient) for i, gradient in pairs if results[i].requires_grad]
        values, gradients = [value for value, _ in depending], [gradient for _, gradient in depending]
        inputs = [operands[i] for i in self._wanted]
        found = torch.autograd.grad(values, inputs, gradients, materialize_grads=True)
        return [*(one.detach() for one in results), *found]

    def is_constant(self, node: fx.Node) -> bool:
        """Whether every turn would compute the same: it is made of what all share, or of nothing."""
        if node.op == "placeholder":
            return node in self.shared
        drawn = node.op == "call_function" and torch_internals.is_operator(node.target)
        if drawn and torch_internals.is_random(node.target):
            return False
        return all(map(self.is_constant, node.all_input_nodes))

    def met(self, wanted: Sequence[fx.Node]) -> tuple[list[fx.Node], list[fx.Node]]:
        """What of the forward turn, and of what is shared, one meets on the way back from ``wanted``."""
        met: dict[fx.Node, None] = {}
        uses: dict[fx.Node, None] = {}
        seen: set[fx.Node] = set()
        waiting = list(wanted)
        while waiting:
            node = waiting.pop()
            if node in seen or node in self.tangents:
                continue
            seen.add(node)
            if node in self.shared:
                uses[node] = None
            elif node in self.later or self.is_constant(node):
                waiting += node.all_input_nodes
            else:
                met[node] = None
        return list(met), list(uses)

    def turn(self, given: Sequence[fx.Node], wanted: Sequence[fx.Node]) -> Callable[..., list[Tensor]]:
        """The part of the graph that computes ``wanted`` from ``given``."""
        needed: set[fx.Node] = set()
        waiting = list(wanted)
        while waiting:
            node = waiting.pop()
            if node not in needed and node not in given:
                needed.add(node)
                waiting += node.all_input_nodes

        def compute(*flat: Tensor) -> list[Tensor]:
            values = dict(zip(given, flat, strict=True))
            for node in self.graph.nodes:
                if node not in needed:
                    continue
                if node.op == "get_attr":
                    values[node] = getattr(self._module, str(node.target))
                else:
                    args, kwargs = fx.node.map_arg((node.args, node.kwargs), values.__getitem__)
                    values[node] = node.target(*args, **kwargs)
            return [values[node] for node in wanted]

        return compute


def _remove_aliases(graph: fx.Graph) -> None:
    aten = torch.ops.aten
    for node in list(graph.nodes):
        if node.target in (aten.detach.default, aten.alias.default):
            node.replace_all_uses_with(node.args[0])
            graph.erase_node(node)


def _likes(nodes: Sequence[fx.Node]) -> list[Like]:
    return [like(node.meta["val"]) for node in nodes]


def _summed(one: Like) -> Like:
    """A sum of many is kept in float32 where its summands are of half precision."""
    return Like(one.shape, torch.float32 if one.dtype in _HALF else one.dtype, one.device)
