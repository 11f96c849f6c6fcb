import torch

from tessera.backend.stability.expressions import expressions
from tessera.backend.stability.necks import LONG
from tessera.backend.stability.reading import Reader
from tests.backend.attention.captures import capture

LAYERS = 40
X, W, A = torch.randn(3, 4, requires_grad=True), torch.randn(4, 4), torch.nn.Parameter(torch.randn(4))


def looked_at(function, *inputs):
    """Every expression of a function."""
    graph_module = capture(function, *inputs).graph_module
    reader = Reader(graph_module)
    for node in graph_module.graph.nodes:
        reader.read(node)
    return list(expressions(graph_module.graph, reader, set()))


def normed(x):
    return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6)


def residual(x, w, a):
    for _ in range(LAYERS):
        x = x + a * (normed(x) @ w)
    return x


def test_layers_of_a_residual_stream_are_alike():
    found = looked_at(residual, X, W, A)
    assert len(found) > LAYERS / 2
    assert max(len(one.nodes) for one in found) <= LONG
    assert len({one.structure() for one in found}) <= LONG


def test_a_result_that_others_are_given_is_where_the_next_begins():
    def function(x, w, a):
        for _ in range(LAYERS):
            x = normed(x + x @ w) * a
        return x

    found = looked_at(function, X, W, A)
    assert max(len(one.nodes) for one in found) <= LONG
    assert len({one.structure() for one in found}) <= LONG


def test_what_is_used_before_and_after_is_one_expression():
    def function(x, w, a):
        return residual(x, w, a).exp() - x.exp()

    assert max(len(one.nodes) for one in looked_at(function, X, W, A)) > 2 * LAYERS


def test_what_only_one_goes_on_with_is_no_neck():
    def function(x):
        for _ in range(LAYERS):
            x = x.sin() + 1
        return x

    assert [len(one.nodes) for one in looked_at(function, X)] == [2 * LAYERS]


def test_behind_many_layers_a_wrong_one_is_found():
    def function(x, w, a):
        return torch.log(1 + torch.exp(-residual(x, w, a).abs()) / 3) @ w

    last = looked_at(function, X, W, A)[-1]
    assert {"exp", "log"} <= {getattr(n.target, "__name__", n.target) for n in last.nodes}
