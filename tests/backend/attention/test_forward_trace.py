import torch

from tessera.backend.attention.forward_trace import trace_forward
from tests.backend.attention.captures import capture, traced
from tests.backend.hand_made import aten

X, W = torch.rand(3, 4), torch.rand(4, 2, requires_grad=True)


def held_names(trace):
    return {node.name for node in trace.held_by.values()}


def test_methods_functions_and_writes_become_the_same_operations():
    def plain(x, w):
        return torch.relu(x @ w) * 2

    def spelled(x, w):
        y = torch.einsum("ij,jk->ik", x, w).relu_()
        y *= 2
        return y

    def names(function):
        trace = traced(function, X, W.detach())
        return {n.target for n in trace.graph.nodes if n in trace.live and n.op == "call_function"} & {
            aten.relu.default,
            aten.mul.Tensor,
        }

    assert names(plain) == names(spelled) == {aten.relu.default, aten.mul.Tensor}


def test_a_value_that_is_written_to_later_is_held_by_nothing():
    def function(x):
        y = x.sin()
        z = y.cos()
        y.add_(1)
        return z * y

    trace = traced(function, X)
    (sine,) = [n for n in trace.graph.nodes if n.target is aten.sin.default]
    (cosine,) = [n for n in trace.graph.nodes if n.target is aten.cos.default]
    assert sine not in trace.held_by
    assert cosine in trace.held_by


def test_a_view_of_what_is_written_to_is_held_by_nothing():
    def function(x):
        y = x.sin()
        row = y[0]
        y.add_(1)
        return row * 2

    trace = traced(function, X)
    assert "row" not in held_names(trace)


def test_what_no_result_needs_is_not_live():
    trace = traced(lambda x: (x.exp(), x.sin())[1], X)
    live = {n.target for n in trace.live if n.op == "call_function"}
    assert aten.sin.default in live
    assert aten.exp.default not in live


def test_gradients_flow_from_what_is_trained_but_not_through_detach():
    def function(x, w):
        y = x @ w
        return y.exp(), y.detach().sin(), (y > 0).float().cos()

    trace = traced(function, X, W)
    trained = {n.target for n in trace.trained if n.op == "call_function"}
    assert aten.exp.default in trained
    assert not trained & {aten.sin.default, aten.cos.default}


def test_tracing_draws_no_random_numbers():
    captured = capture(lambda x: torch.nn.functional.dropout(x, 0.5), X)
    before = torch.get_rng_state()
    trace_forward(captured.graph_module, captured.inputs)
    assert torch.equal(torch.get_rng_state(), before)


def test_sizes_that_change_are_not_traced():
    captured = capture(lambda x: x.softmax(-1), X)
    assert trace_forward(captured.graph_module, [*captured.inputs[:-1], 3]) is None
