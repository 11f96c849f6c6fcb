"""What a user rounds is rounded, forward and backward and in a training step; other graphs are compiled as before."""

from __future__ import annotations

import pytest
import torch

import tessera
from tessera.backend.explicit_casts import rounds_explicitly

X = torch.tensor([1e5, 0.1, 3.9, -3.9])


def rounded(x):
    return x.bfloat16().float() * 1, x.half() + x, x.to(torch.bfloat16).to(torch.float32) - x


def graph_of(function, *inputs):
    graphs = []

    def keep(graph_module, _):
        graphs.append(graph_module)
        return graph_module.forward

    torch.compile(function, backend=keep, fullgraph=True)(*inputs)
    return graphs[0]


def test_values_are_those_of_the_lower_precision():
    for found, expected in zip(tessera.compile(rounded)(X), rounded(X), strict=True):
        assert torch.equal(found, expected)


def test_slopes_are_too():
    def slope(function):
        x = (X[1:] / 5).requires_grad_()
        (function(x) * 0.1).sum().backward()
        return x.grad

    def loss(x):
        return (x.exp().bfloat16().float() * 1.001).sin()

    torch.testing.assert_close(slope(tessera.compile(loss)), slope(loss), rtol=1e-6, atol=0)


class Rounded(torch.nn.Linear):
    """Its own loss, in the precision of bfloat16."""

    def forward(self, x):
        return (super().forward(x).bfloat16().float() * 1.001).sum()


def test_a_training_step_rounds():
    module, x = Rounded(4, 1), X.abs().log()[None]
    step = tessera.train_step(module, None, torch.optim.SGD(module.parameters(), lr=0.0))
    assert torch.equal(step(x), module(x).detach())


@pytest.mark.parametrize(
    "function",
    [lambda x: x.bfloat16() * 2, lambda x: x.float() * 2, lambda x: x.double().float(), lambda x: x * 2],
    ids=["down", "same", "wide", "none"],
)
def test_near_misses(function):
    assert not rounds_explicitly(graph_of(function, X))


def test_found():
    assert rounds_explicitly(graph_of(rounded, X))
