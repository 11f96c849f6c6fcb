from __future__ import annotations

import torch

from tessera import torch_internals
from tessera.capture.splice import Splicer, returned_nodes
from tessera.program import Phase


def spliced(function, value):
    """``(sin(x),)`` with ``function(sin(x), new input)`` appended."""
    mode = torch_internals.new_fake_mode()
    x = torch_internals.fake_copy(mode, torch.ones(3))
    graph_module = torch_internals.trace(lambda v: (torch.sin(v),), x, fake_mode=mode)
    splicer = Splicer(graph_module, mode)
    (sine,) = returned_nodes(graph_module)
    known = set(graph_module.graph.nodes)
    results = splicer.append(function, [sine, splicer.input("state", value)], Phase.UPDATE)
    graph_module.graph.output_node().args = (tuple(results),)
    graph_module.graph.lint()
    graph_module.recompile()
    return graph_module, [n for n in graph_module.graph.nodes if n not in known]


def test_what_is_appended_runs_after_the_graph_and_is_marked():
    graph_module, new = spliced(lambda a, b: [a * b, a + b], torch.ones(3))
    x, y = torch.randn(3), torch.randn(3)
    product, total = graph_module(x, y)
    assert torch.equal(product, torch.sin(x) * y)
    assert torch.equal(total, torch.sin(x) + y)
    placeholder, *calls = new
    assert placeholder.op == "placeholder"
    assert placeholder is graph_module.graph.find_nodes(op="placeholder")[-1]
    assert [n.meta["phase"] for n in calls] == [Phase.UPDATE, Phase.UPDATE]


def test_an_input_handed_back_is_that_input():
    graph_module, _ = spliced(lambda a, b: [b], torch.ones(2))
    y = torch.randn(2)
    assert graph_module(torch.ones(3), y)[0] is y


def test_constants_come_along():
    table = torch.tensor([1.0, 2.0, 3.0])
    graph_module, _ = spliced(lambda a, b: [a + b * table], torch.ones(3))
    x, y = torch.randn(3), torch.randn(3)
    torch.testing.assert_close(graph_module(x, y)[0], torch.sin(x) + y * table)


def test_what_belongs_before_a_node_stands_there():
    mode = torch_internals.new_fake_mode()
    x = torch_internals.fake_copy(mode, torch.ones(3))
    graph_module = torch_internals.trace(lambda v: (torch.sin(v),), x, fake_mode=mode)
    (sine,) = returned_nodes(graph_module)
    splicer = Splicer(graph_module, mode)
    (doubled,) = splicer.append(lambda v: [v * 2], [splicer.input("y", torch.ones(3))], Phase.BACKWARD, before=sine)
    sine.args = (doubled,)
    graph_module.graph.lint()
    graph_module.recompile()
    y = torch.randn(3)
    assert torch.equal(graph_module(torch.ones(3), y)[0], torch.sin(y * 2))


def test_what_is_alike_is_traced_once_for_each_kind():
    mode, calls = torch_internals.new_fake_mode(), []
    x = torch_internals.fake_copy(mode, torch.ones(3))
    graph_module = torch_internals.trace(lambda v: (torch.sin(v),), x, fake_mode=mode)
    splicer = Splicer(graph_module, mode)
    values = [torch.rand(3), torch.rand(3), torch.rand(2), torch.tensor(2.0)]
    *members, number = [splicer.input("value", value) for value in values]

    def function(value, number):
        calls.append(tuple(value.shape))
        return [(value.unsqueeze(0) * (number + 1)).squeeze(0), value]

    results = splicer.append_each(function, [[member] for member in members], [number], Phase.UPDATE)
    assert calls == [(3,), (2,)]
    assert [unchanged for _, unchanged in results] == members
    new = [node for node, _ in results]
    assert [tuple(node.meta["val"].shape) for node in new] == [(3,), (3,), (2,)]
    assert len({node.meta["val"].untyped_storage()._cdata for node in new}) == 3
    assert len(graph_module.graph.find_nodes(op="call_function", target=torch.ops.aten.add.Tensor)) == 2
    graph_module.graph.output_node().args = (tuple(new),)
    graph_module.graph.lint()
    graph_module.recompile()
    for value, tripled in zip(values, graph_module(torch.ones(3), *values), strict=False):
        torch.testing.assert_close(tripled, value * 3)
