"""Replaces one call in a graph by other tensor code."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import fx

from tessera import torch_internals


def replace_call(graph_module: fx.GraphModule, node: fx.Node, function: Callable[..., Any]) -> None:
    """Replace ``node`` in its graph by what ``function`` does to the same arguments, as ATen operations.

    A function of several results stands for a node whose users each take one of them (``getitem``).
    """
    nodes = list(node.all_input_nodes)

    def on_values(*values: Any) -> Any:
        bound = dict(zip(nodes, values, strict=True))
        args, kwargs = fx.node.map_arg((node.args, node.kwargs), bound.__getitem__)
        return function(*args, **kwargs)

    values = [n.meta["val"] for n in nodes]
    traced = torch_internals.trace(on_values, *values, fake_mode=torch_internals.fake_mode_of(values))
    mapping = dict(zip(traced.graph.find_nodes(op="placeholder"), nodes, strict=True))
    with graph_module.graph.inserting_before(node):
        for inner in traced.graph.nodes:
            if inner.op == "call_function":
                mapping[inner] = graph_module.graph.node_copy(inner, mapping.__getitem__)
                mapping[inner].meta |= {k: v for k, v in node.meta.items() if k != "val"}
    (result,) = traced.graph.output_node().args
    if isinstance(result, fx.Node):
        node.replace_all_uses_with(mapping[result])
    else:
        for item in list(node.users):
            item.replace_all_uses_with(mapping[result[item.args[1]]])  # type: ignore[index]
            graph_module.graph.erase_node(item)
    graph_module.graph.erase_node(node)
