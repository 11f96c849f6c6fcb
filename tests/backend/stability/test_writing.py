import pytest
import torch

from tessera.backend.stability.reading import Reader
from tessera.backend.stability.writing import CannotWrite, Writer
from tests.backend.attention.captures import capture

X = torch.randn(3, 4)


def last(function, *inputs):
    captured = capture(function, *inputs)
    reader = Reader(captured.graph_module)
    for node in captured.graph_module.graph.nodes:
        reader.read(node)
    (returned,) = captured.graph_module.graph.output_node().args[0]
    return captured.graph_module, reader, returned


def test_a_value_is_written_with_its_fake_result_and_the_users_line():
    graph_module, reader, node = last(lambda x: torch.log(x * 2), X)
    value, algebra = reader.values[node], reader.algebra
    new = Writer(graph_module.graph, node, lambda _: None).replacement(
        algebra.add((3.0, value.args[0]), (-1.0, algebra.make("exp", value.args[0])))
    )
    assert new.meta["example_value"].shape == X.shape
    assert new.meta["stack_trace"] == node.meta["stack_trace"]
    node.replace_all_uses_with(new)
    graph_module.recompile()
    torch.testing.assert_close(graph_module(X)[0], 6 * X - torch.exp(2 * X))


def test_another_shape_is_refused_and_nothing_is_left_behind():
    graph_module, reader, node = last(torch.log, X)
    before = list(graph_module.graph.nodes)
    writer = Writer(graph_module.graph, node, lambda _: None)
    with pytest.raises(CannotWrite, match="shape"):
        writer.replacement(reader.algebra.make("sum", reader.values[node].args[0], (1,)))
    assert list(graph_module.graph.nodes) == before


def test_what_is_not_there_any_more_is_refused():
    graph_module, reader, node = last(torch.log, X)
    gone = reader.algebra.make("leaf", "gone")
    with pytest.raises(CannotWrite):
        Writer(graph_module.graph, node, lambda _: None).replacement(gone)
