from __future__ import annotations

import torch
import torch.nn.functional as F

from tessera import torch_internals
from tessera.backend.own_random_numbers import OwnRandomNumbers
from tessera.random.operators import draws_key


def traced(source, function):
    numbers = OwnRandomNumbers(source)
    graph_module = torch.fx.symbolic_trace(function)
    joint = torch_internals.joint_graph(graph_module, [torch.randn(3, 4)], numbers.decompositions)
    return numbers, joint.graph_module.graph


def drawing(x):
    return F.dropout(x, 0.5) + torch.multinomial(torch.ones_like(x), 4) + F.dropout(x, 0.1)


def test_operators_become_functions_of_keys_and_the_report_says_so():
    numbers, graph = traced("tessera", drawing)
    drawn = [n for n in graph.nodes if torch_internals.is_operator(n.target)]
    drawn = [n for n in drawn if torch_internals.draws_random_numbers(n)]
    assert [draws_key(n.target, n.args) for n in drawn].count(True) == 2
    assert len(drawn) == 3
    first, second = numbers.notes(graph)
    assert first == "Tessera's random numbers: 2 native_dropout"
    assert second.startswith("torch's random numbers: aten.multinomial")


def test_torchs_stay_by_default():
    numbers, graph = traced("torch", drawing)
    assert not numbers.decompositions
    assert not numbers.notes(graph)
    assert not graph.find_nodes(op="call_function", target=torch.ops.tessera.random_words.default)
