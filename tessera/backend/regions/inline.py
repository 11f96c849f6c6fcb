"""The way back: regions written out where they are called, for where Inductor would get them wrong.

Inductor takes what a region returns for memory of its own. Should it return memory of an operand, or the same memory
twice, that memory may be handed on while it is still read.
"""

from __future__ import annotations

import re

from torch import fx

from tessera import torch_internals

_RETURNED = re.compile(
    r"^def (?P<region>region_\d+)\(args\):.*?^    return \((?P<results>.*?)\)$", re.MULTILINE | re.DOTALL
)


def results_share_memory(source: str) -> bool:
    """Whether a region in ``source``, which Inductor wrote, returns one piece of memory twice or an operand."""
    for match in _RETURNED.finditer(source):
        names = re.findall(rf"\b{match['region']}_\w+", match["results"])
        if len(set(names)) < len(names) or any("_operand_" in name for name in names):
            return True
    return False


def has_regions(graph_module: fx.GraphModule) -> bool:
    """Whether a graph calls regions."""
    return bool(graph_module.graph.find_nodes(op="call_function", target=torch_internals.call_subgraph()))


def inline_regions(graph_module: fx.GraphModule) -> None:
    """Put the operations of every region where it is called."""
    graph = graph_module.graph
    for call in graph.find_nodes(op="call_function", target=torch_internals.call_subgraph()):
        region, _, *operands = call.args
        inner = getattr(graph_module, region.target).graph
        made = dict(zip(inner.find_nodes(op="placeholder"), operands, strict=True))
        with graph.inserting_before(call):
            for node in inner.nodes:
                if node.op == "call_function":
                    made[node] = graph.node_copy(node, made.__getitem__)
        results = inner.output_node().args[0]
        for selection in list(call.users):
            selection.replace_all_uses_with(made[results[selection.args[1]]])
            graph.erase_node(selection)
        graph.erase_node(call)
    graph.eliminate_dead_code()
    graph_module.delete_all_unused_submodules()
    graph_module.recompile()
