import torch
from torch import nn

import tessera
from tessera import torch_internals
from tessera.backend.loops import recurrent
from tessera.backend.loops.captured import with_loops, without_scans


def captured(function, *args, dynamic=False):
    graphs = []

    def backend(graph_module, _):
        graphs.append(graph_module)
        return graph_module.forward

    torch._dynamo.reset()
    with torch_internals.capturing(whole=True):
        torch.compile(function, backend=backend, fullgraph=True, dynamic=dynamic)(*args)
    (graph,) = graphs
    return graph


def targets(graph):
    return [node.target for node in graph.graph.nodes if node.op == "call_function"]


X = torch.randn(5, 3, 4)


def test_every_kind_of_layer_becomes_loops_in_a_copy():
    for layer, ours in (
        (nn.LSTM(4, 4), recurrent.lstm),
        (nn.GRU(4, 4), recurrent.gru),
        (nn.RNN(4, 4), recurrent.rnn_tanh),
        (nn.RNN(4, 4, nonlinearity="relu"), recurrent.rnn_relu),
    ):
        graph = captured(layer, X)
        assert ours in targets(with_loops(graph))
        assert ours not in targets(graph)


def test_sizes_that_are_not_known_are_left_as_they_were():
    graph = captured(nn.LSTM(4, 4), X, dynamic=True)
    assert torch.lstm in targets(with_loops(graph))


def running_sum(x):
    return tessera.scan(lambda total, one: (total + one, total * one), torch.zeros(3, 4), x)


def test_a_scan_is_one_operator_and_becomes_a_loop_or_its_turns():
    graph = captured(running_sum, X)
    assert torch_internals.scan_operator() in targets(graph)
    last, products = running_sum(X)
    for rewritten in (with_loops(graph), without_scans(graph)):
        assert torch_internals.scan_operator() not in targets(rewritten)
    found = without_scans(graph)(X)
    torch.testing.assert_close(found[0], last)
    torch.testing.assert_close(found[1], products)
