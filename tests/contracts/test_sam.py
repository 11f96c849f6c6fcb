"""SAM's two gradients in one Program, beside a loop by hand that evaluates its closure twice."""

from __future__ import annotations

import copy
import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import tessera
from tessera import optim
from tessera.errors import NonFiniteError
from tests.optim.parity import assert_close


class Noisy(nn.Sequential):
    """Dropout draws twice in a step that evaluates twice, and running statistics move twice."""

    def __init__(self) -> None:
        super().__init__(nn.Linear(3, 8), nn.BatchNorm1d(8), nn.Tanh(), nn.Dropout(0.3), nn.Linear(8, 3))


class Counting(Noisy):
    calls = 0

    def forward(self, x):
        self.calls += 1
        return super().forward(x)


def sam_beside_its_closure(kind, make, steps, **options):
    """A training step with ``SAM`` beside a loop by hand: parameters, buffers, losses and random draws are the same."""
    torch.manual_seed(0)
    net = kind().double()
    twin = copy.deepcopy(net)
    ours, eager = make(net), make(twin)
    step = tessera.train_step(net, F.mse_loss, ours, **options)
    batches = [(torch.randn(8, 3).double(), torch.randn(8, 3).double()) for _ in range(steps)]
    limit, rho = options.get("clip_norm", math.inf), ours.param_groups[0]["rho"]

    def run(each):
        torch.manual_seed(1)
        losses = []
        for number, (x, y) in enumerate(batches):
            ours.param_groups[0]["rho"] = eager.param_groups[0]["rho"] = rho if number < 2 else 3 * rho
            losses.append(each(x, y))
        return losses, torch.get_rng_state()

    def by_hand(x, y):
        def closure():
            eager.zero_grad()
            loss = F.mse_loss(twin(x), y)
            loss.backward()
            nn.utils.clip_grad_norm_(twin.parameters(), limit)
            return loss

        return eager.step(closure).detach()

    (found, ours_drew), (expected, theirs_drew) = run(step), run(by_hand)
    assert_close(torch.stack(found), torch.stack(expected), "losses", 1e-9)
    assert torch.equal(ours_drew, theirs_drew)
    for name, value in twin.state_dict().items():
        assert_close(net.state_dict()[name], value, name, 1e-9)
    return step, net, twin


@pytest.mark.parametrize("options", [{}, {"clip_norm": 0.05}, {"loss_scale": 8.0}], ids=["plain", "clipped", "scaled"])
@pytest.mark.parametrize("adaptive", [False, True])
def test_both_gradients_of_sam_are_inside_the_program(adaptive, options):
    def make(net):
        return optim.SAM(net, optim.sgd(0.05, momentum=0.9), rho=0.1, adaptive=adaptive)

    step, _, _ = sam_beside_its_closure(Noisy, make, 6, **options)
    assert step.report.rung.startswith("whole step"), str(step.report)
    assert len(step.report.compilations) == 1


def test_what_a_forward_changes_in_python_it_changes_twice_under_sam():
    step, net, twin = sam_beside_its_closure(Counting, lambda net: optim.SAM(net, optim.sgd(0.05)), 2)
    assert net.calls == twin.calls == 4
    assert step.report.rung.startswith("forward and backward")
    assert step.report.step_downs[0].reason == (
        "SAM evaluates the loss twice, and the forward or the loss changes something in Python each time"
    )


def test_sam_beside_another_optimizer_is_run_in_pieces():
    net = Noisy().double()
    twin = copy.deepcopy(net)

    def make(n):
        return [optim.SAM(n[0], optim.sgd(0.1)), torch.optim.SGD(n[4].parameters(), lr=0.1)]

    step = tessera.train_step(net, F.mse_loss, make(net))
    x, y = torch.randn(8, 3).double(), torch.randn(8, 3).double()
    torch.manual_seed(1)
    step(x, y)
    torch.manual_seed(1)
    for optimizer in make(twin):

        def closure():
            twin.zero_grad()
            loss = F.mse_loss(twin(x), y)
            loss.backward()
            return loss

        optimizer.step(closure)
    for name, value in twin.state_dict().items():
        assert_close(net.state_dict()[name], value, name, 1e-9)
    assert "is one of several optimizers" in step.report.step_downs[0].reason


def test_a_second_gradient_of_sam_that_is_not_finite_leaves_all_as_it_was():
    """Uphill, the square root leaves its domain: the first evaluation is finite, the second is not."""
    net = nn.Linear(1, 1, bias=False).double()
    nn.init.constant_(net.weight, 0.1)

    def loss(prediction, target):
        return -prediction.sqrt().sum()

    step = tessera.train_step(net, loss, optim.SAM(net, optim.sgd(0.1), rho=0.5), check_finite=True)
    with pytest.raises(NonFiniteError):
        step(torch.ones(2, 1).double(), torch.ones(2, 1).double())
    assert net.weight == 0.1
    assert step.report.rung.startswith("whole step")
