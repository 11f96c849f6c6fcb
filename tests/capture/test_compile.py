from __future__ import annotations

import copy

import pytest
import torch

import tessera
from tessera.capture.compile import plain_module


def test_a_compiled_module_is_the_module_in_all_but_its_call():
    net = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Tanh())
    fast = tessera.compile(net)
    assert isinstance(fast, torch.nn.Sequential)
    assert plain_module(fast) is net
    assert plain_module(net) is net
    assert list(fast.state_dict()) == list(net.state_dict())
    assert fast[0].weight is net[0].weight
    x = torch.randn(2, 3)
    torch.testing.assert_close(fast(x), net(x))
    assert fast.report.rung == "one graph"
    net[0].weight.data.zero_()
    torch.testing.assert_close(fast(x), net(x))
    fast.eval()
    assert not net.training


def test_a_copy_has_weights_and_a_report_of_its_own():
    fast = tessera.compile(torch.nn.Linear(3, 2))
    again = copy.deepcopy(fast)
    again.weight.data.zero_()
    assert fast.weight.abs().sum() > 0
    assert again.report is not fast.report
    assert plain_module(again) is not plain_module(fast)
    assert plain_module(again).weight is again.weight


def test_inference_records_no_gradients():
    weight = torch.randn(3, requires_grad=True)

    @tessera.compile(mode="inference")
    def predict(x):
        """Doc."""
        return (x * weight).tanh()

    x = torch.randn(3)
    result = predict(x)
    assert not result.requires_grad
    torch.testing.assert_close(result, (x * weight).tanh().detach())
    assert (predict.__name__, predict.__doc__) == ("predict", "Doc.")
    assert torch.is_grad_enabled()


def test_what_breaks_the_graph_is_named():
    @tessera.compile
    def branching(x):
        if x.sum() > 0:
            return x + 1
        return x - 1

    x = torch.ones(3)
    assert torch.equal(branching(x), x + 1)
    assert torch.equal(branching(-x), -x - 1)
    places = {(reason.where.file, reason.where.code) for reason in branching.report.step_downs}
    assert places == {(__file__, "if x.sum() > 0:")}


def test_an_unknown_mode():
    with pytest.raises(ValueError, match="mode='fast' was passed. It is 'default' or 'inference'."):
        tessera.compile(torch.sin, mode="fast")
