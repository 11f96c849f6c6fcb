import pytest
import torch

from tessera.backend.loops.body import Like, like, part_of, trace_body
from tests.backend.loops.loops import LOOPS, written_out


def body_of(loop):
    turn, init, xs, shared = loop
    return trace_body(turn, list(map(like, init)), list(map(part_of, xs)), list(map(like, shared)))


@pytest.mark.parametrize("name", LOOPS)
def test_a_body_is_the_turn(name):
    turn, init, xs, shared = LOOPS[name]()
    body = body_of((turn, init, xs, shared))
    expected = written_out(turn, init, xs, shared)
    assert all(map(torch.equal, written_out(body.graph, init, xs, shared), expected))
    assert [one.shape for one in body.ys] == [tuple(y.shape[1:]) for y in expected[len(init) :]]


def test_a_body_writes_to_nothing_it_was_given():
    graph = body_of(LOOPS["written_in_place"]()).graph.graph
    assert not any(str(node.target).split(".")[1].endswith("_") for node in graph.nodes if node.op == "call_function")


def test_the_name_tells_formulas_and_sizes_apart():
    one, two = body_of(LOOPS["tanh_layer"]()), body_of(LOOPS["tanh_layer"]())
    assert one.name == two.name
    turn, init, xs, shared = LOOPS["tanh_layer"]()
    assert body_of((turn, [init[0][:2]], [xs[0][:, :2]], shared)).name != one.name
    assert body_of((lambda *a: [2 * a[0], a[1]], init, xs, shared)).name != one.name


def test_a_likeness_has_no_values():
    assert part_of(torch.ones(5, 2, 3)) == Like((2, 3), torch.float32, torch.device("cpu"))
    assert like(torch.ones(2, dtype=torch.int64)).empty(4).shape == (4, 2)
