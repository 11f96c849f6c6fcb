"""A copy of a graph whose nodes can be changed without touching the original."""

from __future__ import annotations

import copy

from torch import fx


def copy_graph(graph_module: fx.GraphModule) -> fx.GraphModule:
    """Copy nodes and their metadata dictionaries; the values in them (fake tensors, symbols) are shared."""
    graph = fx.Graph()
    mapping: dict[fx.Node, fx.Node] = {}
    graph.output(graph.graph_copy(graph_module.graph, mapping))
    for old, new in mapping.items():
        new.meta = copy.copy(old.meta)
    graph.output_node().meta = copy.copy(graph_module.graph.output_node().meta)
    return fx.GraphModule(graph_module, graph)
