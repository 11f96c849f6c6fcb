"""Dropout that knows whether it is training."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch.utils.checkpoint import checkpoint

import tessera
from tessera.errors import LayerError


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(8, 8)

    def forward(self, x):
        return tessera.dropout(self.layer(x), 0.5)


class Net16(torch.nn.Module):
    def forward(self, x):
        return tessera.dropout(x.relu(), 0.3)


@tessera.function
def net(x):
    return tessera.dropout(tessera.nn.linear(x, 8), 0.5)


def fresh():
    return tessera.function(net._body.function)


@pytest.mark.parametrize("p", [0.0, 0.3, 0.999, 1.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16], ids=str)
def test_what_is_kept_is_scaled_and_as_many_as_asked_for(p, dtype):
    x = (torch.rand(200, 300) + 1).to(dtype).requires_grad_()
    y = tessera.dropout(x, p)
    assert y.dtype is dtype
    kept = y != 0
    assert abs(kept.double().mean() - (1 - p)) < 0.01
    torch.testing.assert_close(y[kept], (x / max(1 - p, 1e-9))[kept])
    y.sum().backward()
    torch.testing.assert_close(x.grad[kept], torch.full_like(x.grad[kept], 1 / (1 - p) if p < 1 else 0.0))
    assert not x.grad[~kept].any()


def test_the_mask_depends_on_the_place_and_not_on_the_layout():
    x = torch.ones(2, 3, 4, 5)
    seen = []
    for each in (x, x.to(memory_format=torch.channels_last), x.double(), x[:, :, :1].expand(2, 3, 4, 5)):
        torch.manual_seed(2)
        seen.append(tessera.dropout(each, 0.5) != 0)
    assert all(torch.equal(one, seen[0]) for one in seen)


def test_without_training_or_chance_nothing_is_done_or_drawn():
    x, before = torch.randn(20, 30), torch.get_rng_state()
    assert tessera.dropout(x, 0.5, training=False) is x
    assert tessera.dropout(x, 0.0) is x
    assert not tessera.dropout(x, 1.0).any()
    assert torch.equal(before, torch.get_rng_state())


def test_the_layer_is_the_function():
    x, layer = torch.randn(20, 30), tessera.nn.Dropout(0.4)
    torch.manual_seed(3)
    expected = tessera.dropout(x, 0.4)
    torch.manual_seed(3)
    assert torch.equal(layer(x), expected)
    assert layer.eval()(x) is x
    inplace = tessera.nn.Dropout(0.4, inplace=True)
    torch.manual_seed(3)
    written = x.clone()
    assert inplace(written) is written
    assert torch.equal(written, expected)
    assert isinstance(layer, torch.nn.Dropout)


def test_fifty_steps_of_a_network_have_the_masks_of_eager():
    def train(ours):
        tessera.seed(0)
        masks = []
        layers = [tessera.nn.Linear(6, 16), tessera.nn.Dropout(0.5), Net16(), tessera.nn.Linear(16, 2)]
        net = torch.nn.Sequential(*layers)
        layers[1].register_forward_hook(lambda module, given, result: setattr(module, "mask", result.detach() == 0))
        optimizer = torch.optim.SGD(net.parameters(), lr=0.05)
        step = tessera.train_step(net, "mse", optimizer) if ours else None
        x, y = torch.randn(8, 6), torch.randn(8, 2)
        for _ in range(50):
            if step:
                step(x, y)
            else:
                optimizer.zero_grad()
                F.mse_loss(net(x), y).backward()
                optimizer.step()
            masks.append(layers[1].mask)
        return masks, [p.detach() for p in net.parameters()], torch.get_rng_state()

    (expected, weights, state), (found, ours, our_state) = train(ours=False), train(ours=True)
    assert len(found) == len(expected) == 50
    assert all(torch.equal(a, b) for a, b in zip(expected, found, strict=True))
    assert torch.equal(state, our_state)
    torch.testing.assert_close(weights, ours)
    assert not torch.equal(found[0], found[1])


@pytest.mark.parametrize("reentrant", [True, False])
def test_what_is_computed_again_has_the_same_mask(reentrant):
    x = torch.ones(50, 50, requires_grad=True)

    def block(x):
        return tessera.dropout(x * 1.0, 0.5)

    y = checkpoint(block, x, use_reentrant=reentrant)
    (slope,) = torch.autograd.grad(y.sum(), x) if not reentrant else (None,)
    if reentrant:
        y.sum().backward()
        slope = x.grad
    assert torch.equal(slope, y)


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
