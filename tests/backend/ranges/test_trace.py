"""The forward as the graph that is analysed."""

from __future__ import annotations

import operator

import pytest
import torch

from tessera.backend.ranges.trace import trace_captured, trace_forward
from tessera.errors import SettingError
from tessera.program.provenance import source_line
from tests.backend.ranges.asking import X, returned


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(8, 8)
        self.norm = torch.nn.BatchNorm1d(8)

    def forward(self, x):
        return self.norm(self.layer(x)).relu()


def test_parameters_buffers_and_inputs_are_told_apart():
    traced = trace_forward(Net(), (X,), {}, {})
    given = list(traced.given.values())
    assert [one.parameter for one in given] == [True] * 4 + [False] * 4
    assert given[-1].data
    assert given[5].exact == 1.0  # the running variance, as it stands


def test_nothing_is_computed_and_nothing_changes():
    net = Net()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    trace_forward(net, (X,), {}, {})
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


def test_what_a_closure_holds_is_not_written_to():
    calls, seen = torch.zeros(()), torch.zeros(3)

    def f(x):
        calls.add_(1)
        return x * calls

    def g(x):
        seen.add_(1)
        return x + seen

    for function in (f, g):
        with pytest.raises(RuntimeError, match="tensor with data"):
            trace_forward(function, (X,), {}, {})
    assert calls == 0
    assert not seen.any()


def test_what_a_captured_graph_holds_is_not_written_to():
    held = torch.nn.Module()
    held.step, held.two = torch.zeros(()), torch.tensor(2.0)
    graph = torch.fx.Graph()
    x, step, two = graph.placeholder("x"), graph.get_attr("step"), graph.get_attr("two")
    counted = graph.call_function(operator.iadd, (step, 1))
    graph.output((graph.call_function(operator.add, (graph.call_function(operator.truediv, (x, two)), counted)),))
    traced = trace_captured(torch.fx.GraphModule(held, graph), [X])
    assert held.step == 0
    known = list(traced.given.values())
    assert 2.0 in [one.exact for one in known]
    assert known[-1].exact is None


def test_each_operation_knows_its_line():
    def f(x):
        y = x.exp()
        return y * 2

    nodes = [node for node in trace_forward(f, (X,), {}, {}).graph.nodes if node.op == "call_function"]
    assert [source_line(node).code for node in nodes] == ["y = x.exp()", "return y * 2"]


def test_ranges_by_position_and_name():
    for ranges in ({0: (0.0, 1.0)}, {"x": (0.0, 1.0)}):
        (given,) = trace_forward(lambda x: x, (X,), {}, ranges).given.values()
        assert (given.low, given.high, given.data) == (0.0, 1.0, True)
    with pytest.raises(SettingError, match="Write one of 0, 'x'"):
        trace_forward(lambda x: x, (X,), {}, {"y": (0.0, 1.0)})


def test_a_branch_goes_as_it_is_told():
    def f(x):
        return x.exp() if x.sum() > 0 else x.log()

    for answer, name in ((True, "exp"), (False, "log")):
        traced = trace_forward(f, (X,), {}, {}, answer=answer)
        assert traced.asked
        assert any(name in node.name for node in traced.graph.nodes)
    assert not trace_forward(torch.exp, (X,), {}, {}).asked


def test_fake_tensors_and_symbolic_sizes_are_taken_too():
    from torch._subclasses.fake_tensor import FakeTensorMode
    from torch.fx.experimental.symbolic_shapes import ShapeEnv

    mode = FakeTensorMode(shape_env=ShapeEnv())
    fake = mode.from_tensor(torch.ones(5, 7))
    traced = trace_forward(lambda x: x.exp().view(-1), (fake,), {}, {})
    assert returned(traced.graph).meta["val"].shape == (35,)
    assert not mode.shape_env.guards
