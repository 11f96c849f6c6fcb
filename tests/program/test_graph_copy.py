from __future__ import annotations

import torch
from torch import fx

from tessera.program import copy_graph, copy_nodes


class Scaled(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.scale = torch.nn.Parameter(torch.tensor(3.0))

    def forward(self, x):
        return torch.sin(x) * self.scale


def test_changing_the_copy_leaves_the_original():
    original = fx.symbolic_trace(Scaled())
    for index, node in enumerate(original.graph.nodes):
        node.meta["index"] = index
    copied = copy_graph(original)
    assert [n.meta["index"] for n in copied.graph.nodes] == list(range(len(original.graph.nodes)))

    (sine,) = copied.graph.find_nodes(op="call_function", target=torch.sin)
    sine.target = torch.cos
    sine.meta["index"] = -1
    copied.recompile()
    x = torch.randn(4)
    assert torch.equal(original(x), torch.sin(x) * 3)
    assert torch.equal(copied(x), torch.cos(x) * 3)
    assert -1 not in [n.meta["index"] for n in original.graph.nodes]


def test_values_are_shared():
    original = fx.symbolic_trace(Scaled())
    value = torch.ones(1)
    original.graph.output_node().meta["val"] = value
    copied = copy_graph(original)
    assert copied.graph.output_node().meta["val"] is value
    assert copied.scale is original.scale


def test_graphs_inside_are_copied_too():
    inner, graph = fx.symbolic_trace(Scaled()), fx.Graph()
    graph.output(graph.get_attr("inner"))
    original = fx.GraphModule({"inner": inner}, graph)
    copied = copy_graph(original)
    assert isinstance(copied.inner, fx.GraphModule)
    assert copied.inner is not inner
    assert copied.inner.scale is inner.scale


def test_nodes_alone():
    original = fx.symbolic_trace(Scaled())
    copied = copy_nodes(original.graph)
    assert [n.target for n in copied.nodes] == [n.target for n in original.graph.nodes]
    assert not set(copied.nodes) & set(original.graph.nodes)
