from __future__ import annotations

import contextlib
import copy

import pytest
import torch
from torch import nn

import tessera
from tessera.capture.loss_scale import LossScale
from tessera.errors import NonFiniteValueError


def trained(debug, **options):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 8, dtype=torch.float64), nn.Tanh(), nn.Linear(8, 1, dtype=torch.float64))
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-2)
    step = tessera.train_step(net, "mse", optimizer, **options)
    draw, losses = torch.Generator().manual_seed(1), []
    for _ in range(4):
        batch = [torch.randn(8, n, generator=draw, dtype=torch.float64) for n in (4, 1)]
        with tessera.debug_mode() if debug else contextlib.nullcontext():
            losses.append(step(*batch))
    return torch.stack(losses), torch.cat([p.detach().flatten() for p in net.parameters()]), step


@pytest.mark.parametrize(
    "options",
    [
        {"clip_norm": 0.1},
        pytest.param({"accumulate": 2}, marks=pytest.mark.slow),
        pytest.param({"loss_scale": 64.0, "check_finite": True}, marks=pytest.mark.slow),
    ],
    ids=str,
)
def test_it_trains_as_the_compiled_step(options):
    plain, compiled = trained(debug=True, **options), trained(debug=False, **options)
    assert plain[2].report.compilations == []
    assert compiled[2].report.rung == "whole step in one Program"
    torch.testing.assert_close(plain[0], compiled[0], rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(plain[1], compiled[1], rtol=1e-9, atol=1e-12)


def test_a_step_that_stops_leaves_everything_as_it_was():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.lin, self.norm = nn.Linear(2, 2), nn.BatchNorm1d(2)

        def forward(self, x):
            return (self.norm(self.lin(x)) * 0).sum(-1).sqrt()

    net = Net()
    optimizer = torch.optim.Adam(net.parameters())
    step = tessera.train_step(net, lambda y, t: (y - t).square().sum(), optimizer)
    before, random = copy.deepcopy(net.state_dict()), torch.get_rng_state()
    with pytest.raises(NonFiniteValueError) as caught, tessera.debug_mode():
        step(torch.randn(4, 2, generator=torch.Generator().manual_seed(0)), torch.ones(4))
    assert caught.value.phase == "backward"
    assert all(torch.equal(value, net.state_dict()[name]) for name, value in before.items())
    assert all(p.grad is None for p in net.parameters())
    assert not optimizer.state
    assert torch.equal(random, torch.get_rng_state())


def test_gradients_that_overflow_under_a_loss_scale_lower_it():
    net = nn.Linear(2, 1)
    step = tessera.train_step(
        net, "mse", torch.optim.SGD(net.parameters(), lr=0.1), loss_scale=LossScale(2.0**126), clip_norm=1.0
    )
    with tessera.debug_mode() as debug:
        step(torch.full((4, 2), 100.0), torch.zeros(4, 1))
    assert step.skipped == 1
    assert step.loss_scale == 2.0**125
    assert debug.found[0].phase == "backward"


def test_breakpoints_and_prints_work_in_a_compiled_step(monkeypatch):
    seen = []
    monkeypatch.setattr("sys.breakpointhook", lambda: seen.append("stopped"))

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.lin = nn.Linear(2, 1)

        def forward(self, x):
            y = self.lin(x)
            breakpoint()  # noqa: T100 - what is tested
            seen.append(y.shape)
            return y

    net = Net()
    step = tessera.train_step(net, "mse", torch.optim.SGD(net.parameters(), lr=0.1))
    with tessera.debug_mode():
        step(torch.ones(3, 2), torch.ones(3, 1))
    assert seen == ["stopped", (3, 1)]


@pytest.mark.slow
def test_an_accumulating_step_may_change_over_in_the_middle():
    def job(modes):
        torch.manual_seed(0)
        net = nn.Linear(3, 1, dtype=torch.float64)
        step = tessera.train_step(net, "mse", torch.optim.SGD(net.parameters(), lr=0.1), accumulate=2)
        for number, mode in enumerate(modes):
            x = torch.full((2, 3), number + 1.0, dtype=torch.float64)
            with tessera.debug_mode() if mode else contextlib.nullcontext():
                step(x, x[:, :1])
        return net.weight.detach()

    torch.testing.assert_close(job([0, 0, 0, 0]), job([0, 1, 1, 0]))


def trained_low(debug, precision):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, 64))
    step = tessera.train_step(net, "mse", torch.optim.SGD(net.parameters(), lr=0.5), precision=precision)
    batch = torch.randn(2, 32, 64).unbind()
    losses = []
    for _ in range(4):
        with tessera.debug_mode() if debug else contextlib.nullcontext():
            losses.append(step(*batch))
    return torch.stack(losses)


@pytest.mark.usefixtures("low_precision_products")
def test_products_have_the_precision_of_the_compiled_step():
    low, compiled, exact = trained_low(True, "bf16"), trained_low(False, "bf16"), trained_low(True, "fp32")
    assert (low - compiled).abs().max() < 0.05 * (low - exact).abs().max()


@pytest.mark.usefixtures("low_precision_products")
def test_a_compiled_function_computes_likewise_and_its_backward_later():
    x, weight = torch.randn(32, 64), torch.randn(64, 64, requires_grad=True)
    fast = tessera.compile(lambda x: x @ weight, precision="bf16")
    with tessera.debug_mode():
        y = fast(x)
        y.backward(seed := torch.randn(32, 64))
        plain = x @ weight
    assert torch.equal(y, (x.bfloat16() @ weight.bfloat16()).float())
    assert not torch.equal(y, plain)
    assert torch.equal(weight.grad, (x.bfloat16().T @ seed.bfloat16()).float())
