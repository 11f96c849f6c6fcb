import torch

from tessera.backend.stability.reading import Reader
from tests.backend.attention.captures import capture
from tests.backend.stability.readings import read, shown

X, Y = torch.randn(3, 4, requires_grad=True), torch.randn(3, 4)


def test_a_sum_over_rows_does_not_meet_columns():
    def function(x):
        return x.exp() / x.exp().sum(1)

    value, _ = read(function, torch.randn(4, 4))
    assert "squeeze" in shown(value)


def test_what_is_written_to_is_another_value_from_then_on():
    def function(x):
        before = x + 0.5
        early = before.exp()
        before.mul_(2)
        return early, before.exp()

    captured = capture(function, X)
    reader = Reader(captured.graph_module)
    for node in captured.graph_module.graph.nodes:
        reader.read(node)
    early, late = (reader.values[node] for node in captured.graph_module.graph.output_node().args[0])
    assert early is not late
    assert late.args[0] is reader.algebra.scale(early.args[0], 2)


def test_a_write_through_a_view_makes_all_that_see_it_unknown():
    def function(x):
        both = x + 0.5
        both[0].exp_()
        return both

    assert read(function, X)[0].op == "leaf"


def test_values_without_gradients_are_leaves_to_those_with():
    def function(x):
        with torch.no_grad():
            p = x.softmax(-1)
        return p.log()

    value, _ = read(function, X)
    assert value.op == "log"
    assert value.args[0].op == "leaf"


def test_rounding_errors_are_delicate():
    def function(x, y):
        total = x + y
        return (total - x) - y

    assert len(read(function, X, Y)[1].delicate) >= 2
    assert not read(lambda x, y: x + y - 1, X, Y)[1].delicate
