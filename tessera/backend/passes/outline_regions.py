"""A block that a model repeats, forward or backward, becomes one region: compiled once, called at every place.

    before   h1 = mm(x, w1);  x1 = gelu(h1) + x      h2 = mm(x1, w2);  x2 = gelu(h2) + x1     ...
    after    x1 = region(x, w1);                     x2 = region(x1, w2)                      ...
             region(x, w): h = mm(x, w); return gelu(h) + x

Found by what the operations do, not by the modules they came from. A block that needs no library is left where it is:
the whole Program may then run as one C call. Kernels do not reach over the border of a region, so it is drawn where
they do not reach anyway. Promise: close, for what is fused decides in what order sums are added.
"""

from __future__ import annotations

import operator

from torch import fx

from tessera import torch_internals
from tessera.backend.passes.merge_duplicates import merge_in
from tessera.backend.regions.block import Block, calls_library, describe, find_block
from tessera.backend.regions.borders import keep_borders_small
from tessera.backend.regions.runs import longest_run
from tessera.backend.rewrite import Pass
from tessera.program import Program, copy_graph

_SHORTEST = 12  # operations of a block
_LEAST_SAVED = 48  # operations that need not be compiled again


def outline_regions(program: Program) -> int:
    """Put every repeated block into a region of its own; returns how many places call one."""
    if not _repeats(program.graph_module):
        return 0
    graph_module = copy_graph(program.graph_module)
    keep_borders_small(graph_module.graph)
    graph_module.graph.eliminate_dead_code()
    given_up: set[fx.Node] = set()
    found: list[Block] = []
    while (block := _next_block(graph_module.graph, given_up)) is not None:
        _outline(graph_module, block, f"region_{len(found)}")
        found.append(block)
    if not found:
        return 0
    program.graph_module = graph_module
    merge_in(graph_module.graph)  # views and arithmetic that stayed outside
    for block in found:
        size = len(block.windows[0])
        program.notes.append(f"{len(block.windows)} x block of {size} operations, compiled once")
    return sum(len(block.windows) for block in found)


def _repeats(graph_module: fx.GraphModule) -> bool:
    run = longest_run([describe(node) for node in _operations(graph_module.graph)], _SHORTEST)
    return run is not None and run.saved >= _LEAST_SAVED


def _operations(graph: fx.Graph) -> list[fx.Node]:
    return [node for node in graph.nodes if node.op == "call_function"]


def _next_block(graph: fx.Graph, given_up: set[fx.Node]) -> Block | None:
    nodes = _operations(graph)
    while True:
        run = longest_run([None if n in given_up else describe(n) for n in nodes], _SHORTEST)
        if run is None or run.saved < _LEAST_SAVED:
            return None
        block = find_block(nodes, run)
        if block is not None and block.saved >= _LEAST_SAVED and any(map(calls_library, block.windows[0])):
            return block
        given_up.update(nodes[run.start : run.end])


def _outline(graph_module: fx.GraphModule, block: Block, name: str) -> None:
    graph_module.add_submodule(name, fx.GraphModule({}, _inner_graph(block)))
    graph = graph_module.graph
    new: dict[fx.Node, fx.Node] = {}
    with graph.inserting_before(block.windows[0][0]):
        region = graph.get_attr(name)
    for place, window in enumerate(block.windows):
        operands = [new.get(operand[place], operand[place]) for operand in block.operands]
        with graph.inserting_before(window[0]):
            call = graph.call_function(torch_internals.call_subgraph(), (region, name, *operands))
            call.meta = {k: v for k, v in window[0].meta.items() if k in ("phase", "stack_trace")}
            call.meta["val"] = tuple(window[i].meta["val"] for i in block.results)
            for position, i in enumerate(block.results):
                result = graph.call_function(operator.getitem, (call, position))
                result.meta = dict(window[i].meta)
                new[window[i]] = result
                window[i].replace_all_uses_with(result)
        for node in reversed(window):
            graph.erase_node(node)


def _inner_graph(block: Block) -> fx.Graph:
    graph = fx.Graph()
    window, slot_of = block.windows[0], {operand: i for i, operand in enumerate(block.operands)}
    operands = [graph.placeholder(f"operand_{i}") for i in range(len(slot_of))]
    for node, operand in zip(operands, block.operands, strict=True):
        node.meta["val"] = operand[0].meta["val"]
    made: dict[fx.Node, fx.Node] = {}
    for position, node in enumerate(window):
        read = {}
        for index, source in enumerate(node.all_input_nodes):
            key = tuple(other[position].all_input_nodes[index] for other in block.windows)
            read[source] = operands[slot_of[key]] if key in slot_of else made[source]
        made[node] = graph.node_copy(node, read.__getitem__)
    graph.output(tuple(made[window[i]] for i in block.results))
    merge_in(graph)
    return graph


OUTLINE_REGIONS = Pass(
    "outline_regions", "close", outline_regions, "a block of twelve operations or more that repeats and calls a library"
)
