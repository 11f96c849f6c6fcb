"""Dropout that knows whether it is training."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

import tessera
from tessera.errors import LayerError


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(8, 8)

    def forward(self, x):
        return tessera.dropout(self.layer(x), 0.5)


@tessera.function
def net(x):
    return tessera.dropout(tessera.nn.linear(x, 8), 0.5)


def fresh():
    return tessera.function(net._body.function)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("p", [0.0, 0.3, 1.0])
def test_it_is_torchs_with_torchs_random_numbers(seed, p):
    x = torch.randn(20, 30)
    torch.manual_seed(seed)
    ours = tessera.dropout(x, p)
    torch.manual_seed(seed)
    assert torch.equal(ours, F.dropout(x, p))
    assert tessera.dropout(x, p, training=False) is x


@pytest.mark.parametrize("make", [Net, fresh, tessera.model(Net)])
@pytest.mark.parametrize("backend", [None, "eager"])
def test_the_mode_is_that_of_what_runs(make, backend):
    module, x = make(), torch.randn(16, 8)
    module(x)
    call = torch.compile(module, backend=backend, fullgraph=True) if backend else module
    for training in (True, False, True):
        module.train(training)
        assert bool((call(x) == 0).any()) is training


@pytest.mark.parametrize("make", [Net, fresh])
def test_a_training_step_is_whole_and_follows_the_mode(make):
    module, x = make(), torch.randn(16, 8)
    module(x)
    step = tessera.train_step(module, "mse", torch.optim.SGD(module.parameters(), lr=0.0))
    steps = [step(x, x) for _ in range(3)]
    assert len({value.item() for value in steps}) == 3
    torch.manual_seed(5)
    value = step(x, x)
    torch.manual_seed(5)
    torch.testing.assert_close(value, F.mse_loss(module(x), x).detach())
    assert step.report.rung == "whole step in one Program"
    module.eval()
    assert step(x, x) == step(x, x)


def test_what_is_captured_alone_follows_the_module_that_calls_it():
    inner, x = torch.compile(tessera.dropout, backend="eager"), torch.randn(16, 8)

    class Outer(torch.nn.Module):
        def forward(self, x):
            return inner(x)

    outer = Outer()
    for training in (True, False, True):
        assert bool((outer.train(training)(x) == 0).any()) is training


@pytest.mark.parametrize("p", [-0.1, 1.5, float("nan")])
def test_a_probability_out_of_range_is_refused(p):
    with pytest.raises(LayerError, match="from 0 to 1"):
        tessera.dropout(torch.ones(2), p)
