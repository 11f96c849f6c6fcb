import pytest
import torch
from torch import fx

from tessera import torch_internals
from tessera.backend.loops.sums import sum_over_turns
from tests.backend.loops.loops import draw

A, B, V = draw(5, 3, 4), draw(5, 3, 4, seed=1), draw(5, 3, 4, seed=2)
SUMMANDS = {
    "rows": lambda a, b: a.sum(0),
    "rows that stay": lambda a, b: a.sum([0], keepdim=True).view(4),
    "all": lambda a, b: a.sum([0, 1]),
    "product": lambda a, b: torch.mm(a.t(), b),
    "product, turned": lambda a, b: torch.mm(b.t(), a).t(),
    "product of rows": lambda a, b: torch.mm(a, b.t()),
    "product with a sum of its own": lambda a, b: torch.mm(a.t(), b) + torch.mm(b.t(), b),
    "reshaped": lambda a, b: torch.mm(a.t(), b).reshape(2, 8),
}


def returned(function):
    graph = torch_internals.trace_aside(function, [lambda: torch.empty(3, 4, dtype=torch.float64)] * 2).graph
    return graph, graph.output_node().args[0]


@pytest.mark.parametrize("name", SUMMANDS)
def test_a_sum_of_products_is_one_product(name):
    graph, node = returned(SUMMANDS[name])
    found = sum_over_turns(node)
    stacks = dict(zip(graph.find_nodes(op="placeholder"), (A, B), strict=True))
    expected = sum(SUMMANDS[name](a, b) for a, b in zip(A, B, strict=True))
    torch.testing.assert_close(found.total(*(stacks[f] for f in found.factors)), expected)


@pytest.mark.parametrize(
    "function",
    [lambda a, b: a * b, lambda a, b: torch.mm(a.t(), b).exp(), lambda a, b: a.sum(0) + b.sum(), lambda a, b: a],
    ids=["pointwise", "behind the product", "broadcast", "an operand"],
)
def test_what_is_no_such_sum_is_left_to_the_loop(function):
    node = returned(function)[1]
    assert isinstance(node, fx.Node)
    assert sum_over_turns(node) is None
