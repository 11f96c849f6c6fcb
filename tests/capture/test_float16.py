from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from tessera import torch_internals
from tessera.capture.float16 import graph_has_float16_gradients, loss_has_float16_gradients


class Net(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.layer, self.teacher = nn.Linear(4, 4), nn.Linear(4, 4).half().requires_grad_(False)
        self.half_layer = nn.Linear(4, 4).half()
        self.function = function

    def forward(self, x):
        return self.function(self, x).float().square().mean()


def autocast(net, x):
    with torch.autocast("cpu", torch.float16):
        return net.layer(x)


class Hidden(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return (x.half() * 2).float()

    @staticmethod
    def backward(ctx, gradient):
        return (gradient.half() * 2).float()


CASES = {
    "autocast": (autocast, True),
    "a layer in half": (lambda net, x: net.half_layer(x.half()), True),
    "autocast that is recomputed": (lambda net, x: checkpoint(autocast, net, x, use_reentrant=False), True),
    "plain": (lambda net, x: net.layer(x), False),
    "bfloat16": (lambda net, x: net.layer(x).bfloat16(), False),
    "a teacher in half": (lambda net, x: net.layer(x) - net.teacher(x.half()).float(), False),
    "a batch that is cast": (lambda net, x: net.layer(x.half().float()), False),
}


def captured(net, x):
    graphs = []
    with torch_internals.capturing(whole=True):
        torch.compile(net, backend=lambda graph, _: graphs.append(graph) or graph, fullgraph=True)(x)
    (graph,) = graphs
    return graph


@pytest.mark.parametrize(("function", "expected"), CASES.values(), ids=CASES)
def test_both_see_what_gradients_pass_through(function, expected):
    net, x = Net(function), torch.randn(2, 4)
    assert loss_has_float16_gradients(net(x)) is expected
    assert graph_has_float16_gradients(captured(net, x)) is expected


def test_a_function_of_the_user_is_only_seen_into_when_captured():
    net, x = Net(lambda net, x: Hidden.apply(net.layer(x))), torch.randn(2, 4)
    assert graph_has_float16_gradients(captured(net, x))
    assert not loss_has_float16_gradients(net(x))
