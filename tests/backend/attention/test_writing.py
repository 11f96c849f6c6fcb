import pytest
import torch

from tessera.backend.attention.axes import new_dim
from tessera.backend.attention.forward_trace import trace_forward
from tessera.backend.attention.recognise import NotAttention, Shown
from tessera.backend.attention.writing import Writer, arranged, spread_size
from tests.backend.attention.captures import capture
from tests.backend.hand_made import aten

X = torch.arange(24.0).view(2, 3, 4)


def shown(tensor, layout):
    node = torch.fx.Graph().placeholder("x")
    node.meta["val"] = tensor
    return Shown(node, layout)


def run(function, *args, **kwargs):
    return function(*args, **kwargs)


def test_axes_come_into_the_order_of_the_groups():
    a, b, c = layout = tuple(map(new_dim, X.shape))
    made = arranged(run, X, shown(X, layout), [c, (*a, *b)], whole=True)
    assert torch.equal(made, X.permute(2, 0, 1).reshape(4, 6))


def test_axes_that_are_not_shown_have_size_one_or_are_repeated():
    a, b, c = map(new_dim, X.shape)
    row = X[:, 0]
    one = shown(row, (a, c))
    assert arranged(run, row, one, [a, b, c], whole=False).shape == (2, 1, 4)
    assert torch.equal(arranged(run, row, one, [a, b, c], whole=True), row[:, None].expand(2, 3, 4))
    assert torch.equal(arranged(run, row, one, [(*a, *b), c], whole=False), row.repeat_interleave(3, 0))
    assert (spread_size(one, [a, b, c]), spread_size(one, [(*a, *b), c])) == (8, 24)


def test_a_dimension_that_repeats_is_taken_once():
    a, _, c = map(new_dim, X.shape)
    wide = X[:, :1].expand(2, 3, 4)
    assert arranged(run, wide, shown(wide, (a, (), c)), [a, c], whole=False).shape == (2, 4)


def written(function, wanted):
    """A writer before the last operation of ``function``, and what it makes of the operation ``wanted``."""
    captured = capture(function, X)
    graph = captured.graph_module.graph
    trace = trace_forward(captured.graph_module, captured.inputs)
    writer = Writer(graph, trace, graph.output_node().prev)
    (operation,) = [node for node in trace.graph.nodes if node.target is wanted]
    return writer, operation, graph


def test_a_value_that_the_graph_holds_is_taken_from_there():
    writer, sine, graph = written(lambda x: x.sin().cos(), aten.sin.default)
    count = len(graph.nodes)
    assert writer.value(sine).target == "sin"
    assert len(graph.nodes) == count


def test_a_value_that_is_lost_is_computed_again_and_can_be_taken_out():
    writer, sine, graph = written(lambda x: x.sin().add_(1).cos(), aten.sin.default)
    count = len(graph.nodes)
    assert writer.value(sine).target is aten.sin.default
    assert len(graph.nodes) == count + 1
    writer.undo()
    assert len(graph.nodes) == count


def test_what_was_drawn_at_random_is_not_drawn_again():
    writer, drawn, _ = written(lambda x: torch.bernoulli(x * 0 + 0.5).add_(1).cos(), aten.bernoulli.default)
    with pytest.raises(NotAttention, match="drawn at random"):
        writer.value(drawn)
