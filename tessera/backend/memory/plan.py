"""What of a step's kept values to compute again: a sequence of plans, each of which needs less memory.

Each plan computes again what the one before does and a little more: of what is in memory at the peak, the values whose
bytes cost the least arithmetic. A smaller budget is met by a later plan.

References:
    Chen et al., Training deep nets with sublinear memory cost, 2016, arXiv:1604.06174.
    Jain et al., Checkmate: breaking the memory wall with optimal tensor rematerialization, 2020, arXiv:1910.02653.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from torch import fx

from tessera import torch_internals
from tessera.backend.memory.liveness import Liveness, Peak, owner, size_of
from tessera.backend.memory.recomputation import recompute
from tessera.backend.memory.sides import Sides
from tessera.program import Program, copy_nodes

SMALLEST = 1 << 12  # bytes of a value that is worth the calls it costs
_SHARE = 0.02  # of the first peak: what a plan drops more than the one before, if there is so much
_FLOPS_PER_BYTE = 16  # arithmetic in the time in which memory moves one byte, roughly


@dataclass(frozen=True)
class Plan:
    """Values to compute again, in the order in which they were chosen, and the simulated peak that is left."""

    dropped: tuple[fx.Node, ...]
    peak: Peak


def plans(program: Program) -> Iterator[Plan]:
    """Plans that drop more and more; the first drops nothing. Their peaks may rise again towards the end."""
    sides = Sides(program.graph)
    dropped: dict[fx.Node, None] = {}
    again: set[fx.Node] = set()
    liveness, copies = sides.liveness, {node: node for node in program.graph.nodes}
    costs = {node: cost_of(node) for node in program.graph.nodes}
    enough = None
    while True:
        peak = liveness.peak()
        enough = enough or _SHARE * peak.size
        yield Plan(tuple(dropped), peak)
        waits = {node for node in sides.kept if node not in dropped and _waits(node, sides, liveness, copies, peak)}
        saved = 0
        while saved < enough and (best := _cheapest(sides, waits, dropped, again, costs)) is not None:
            dropped[best] = None
            waits.remove(best)
            again |= sides.repeated(best, dropped)[0]
            saved += size_of(best)
        if not saved:
            return
        trial, copies = _with(program.graph, dropped)
        liveness = Liveness(trial)


def _waits(node: fx.Node, sides: Sides, liveness: Liveness, copies: dict[fx.Node, fx.Node], peak: Peak) -> bool:
    """Whether a kept value does nothing at the peak but wait for the backward."""
    copy, begin = copies[node], liveness.order[copies[sides.kept[node]]]
    if copy not in peak.held:
        return False
    at, read = liveness.order[peak.where], [liveness.order[reader] for reader in liveness.readers(copy)]
    return not any(begin <= one <= at or at <= one < begin for one in read)


def carry_out(program: Program, plan: Plan) -> Program:
    """A copy of the Program that computes again what the plan drops."""
    graph_module = fx.GraphModule(program.graph_module, _with(program.graph, plan.dropped)[0])
    return replace(program, graph_module=graph_module)


def _with(graph: fx.Graph, dropped: Iterable[fx.Node]) -> tuple[fx.Graph, dict[fx.Node, fx.Node]]:
    """A copy of the graph that computes ``dropped`` again, and node -> its copy."""
    trial = copy_nodes(graph)
    copies = dict(zip(graph.nodes, trial.nodes, strict=True))
    recompute(trial, [copies[node] for node in dropped])
    return trial, copies


def _cheapest(
    sides: Sides, waits: set[fx.Node], dropped: Iterable[fx.Node], again: set[fx.Node], costs: dict[fx.Node, float]
) -> fx.Node | None:
    """Of the values that wait, the one whose bytes cost least; ``again`` is computed anyway."""
    best, lowest = None, float("inf")
    for node in sides.kept:
        if node not in waits or size_of(node) < SMALLEST or not sides.can_be_repeated(node):
            continue
        computed, sources = sides.repeated(node, {*dropped, node})
        owners = {owner(source) for source in sources}
        saved = size_of(node) - sum(size_of(n) for n in owners if n.op == "call_function" and n not in sides.kept)
        if saved > 0 and (cost := sum(costs[n] for n in computed - again) / saved) < lowest:
            best, lowest = node, cost
    return best


def cost_of(node: fx.Node) -> float:
    """What it takes to compute a value, in bytes moved; a product's arithmetic counts as so many bytes."""
    if node.op != "call_function" or torch_internals.is_view(node.target):
        return 0.0
    return size_of(node) + torch_internals.product_flops(node) / _FLOPS_PER_BYTE
