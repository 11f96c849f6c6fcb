from __future__ import annotations

import warnings

import pytest
import torch
from torch import nn

import tessera
from tessera.backend.rewrite import Pass
from tessera.capture.shadow import Kept, parting
from tessera.debug import Shadow
from tessera.errors import MismatchError

aten = torch.ops.aten


def relu_is_abs(program):
    found = list(program.graph.find_nodes(op="call_function", target=aten.relu.default))
    for node in found:
        with program.graph.inserting_before(node):
            other = program.graph.call_function(aten.abs.default, node.args)
        other.meta["val"] = node.meta["val"]
        node.replace_all_uses_with(other)
    return len(found)


def test_a_wrong_pass_is_named_with_the_line_and_the_result_is_pytorchs():
    calls = []

    @tessera.compile(passes=[Pass("relu_is_abs", "close", relu_is_abs)], verify="shadow")
    def f(x):
        h = x * 2
        calls.append(1)
        return torch.relu(h).sum(-1)

    x = torch.linspace(-1, 1, 6)
    with pytest.warns(RuntimeWarning, match="made so by the pass relu_is_abs"):
        y = f(x)
    assert torch.equal(y, torch.relu(x * 2).sum(-1))
    (mismatch,) = f.report.mismatches
    assert (mismatch.node, mismatch.where.code) == ("aten.relu", "return torch.relu(h).sum(-1)")
    assert torch.equal(f(x), y)
    assert calls == [1, 1]  # what Python does besides happens once a call


def test_what_was_captured_wrongly_is_named():
    def f(x):
        y = x.sin()
        if torch.compiler.is_compiling():
            y = y * 1.01
        return y

    x = torch.linspace(-1, 1, 6)
    with pytest.raises(MismatchError) as caught:
        tessera.compile(f, verify=Shadow(on_mismatch="raise"))(x)
    assert caught.value.where.code == "y = y * 1.01"
    assert "the capture makes it so" in str(caught.value)
    found = parting(f, (x,), {})
    assert found.where.code == "y = y * 1.01"
    assert parting(torch.sin, (x,), {}).first is None


def test_a_model_in_training_agrees_and_its_state_is_that_of_one_call():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(0.5))
    fast, x = tessera.compile(net, verify="shadow"), torch.randn(6, 4)
    for calls in (1, 2):
        torch.manual_seed(1)
        y = fast(x)
        torch.manual_seed(1)
        assert net[1].num_batches_tracked == calls
        y.sum().backward()
        gradient, net[0].weight.grad = net[0].weight.grad, None
        before = net[1].running_mean.clone()
        net(x).sum().backward()
        torch.testing.assert_close(net[0].weight.grad, gradient)
        net[1].running_mean.copy_(before)
        net[1].num_batches_tracked.sub_(1)
        net.zero_grad()
    assert fast.report.mismatches == []


def test_tensors_are_kept_and_put_back():
    x, y = torch.ones(3), torch.tensor([float("nan")])
    kept = Kept([x, y, x])
    assert len(kept.tensors) == 2
    x.mul_(2)
    random = torch.rand(1)
    assert [w.tolist() for w in kept.written()] == [[2.0, 2.0, 2.0]]
    kept.restore()
    assert x.tolist() == [1.0, 1.0, 1.0]
    assert torch.equal(torch.rand(1), random)


def test_diff_asks_compiled_code_where_it_differs():
    def f(x):
        h = x * 2
        return torch.relu(h).sum(-1)

    x = torch.linspace(-1, 1, 6)
    found = tessera.debug.diff(f, tessera.compile(f, passes=[Pass("relu_is_abs", "close", relu_is_abs)]), x)
    assert found.where.code == "return torch.relu(h).sum(-1)"
    assert "the pass relu_is_abs" in str(found)
    net = nn.Sequential(nn.ReLU())
    assert not tessera.debug.diff(net, tessera.compile(net), x)


def test_what_was_made_stable_is_not_held_against_the_python():
    def loss(x):
        return torch.log(torch.softmax(x, -1)).sum()

    compiled = tessera.compile(loss, verify="shadow")
    x = torch.tensor([[0.0, 300.0]])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert float(compiled(x)) == -300
    assert compiled.report.mismatches == []
