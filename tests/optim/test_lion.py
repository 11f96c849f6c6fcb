import copy

import pytest
import torch

from tessera.optim import Lion
from tests.optim.parity import Model, assert_same, decayed_and_not, train


def by_hand(params, grads, means, lr, betas, weight_decay):
    """The algorithm of the paper (2302.06675, algorithm 2), one step."""
    for param, grad, mean in zip(params, grads, means, strict=True):
        if grad is None:
            continue
        direction = torch.sign(betas[0] * mean + (1 - betas[0]) * grad)
        param.data = param.data - lr * (direction + weight_decay * param.data)
        mean.copy_(betas[1] * mean + (1 - betas[1]) * grad)


@pytest.mark.parametrize(
    "setting", [{}, {"lr": 0.01, "betas": (0.8, 0.95), "weight_decay": 0.3}, {"lr": 0.003, "maximize": True}]
)
def test_steps_are_the_papers(setting):
    model = Model()
    twin = copy.deepcopy(model)
    optimizer = Lion(model, **setting)
    numbers = {"lr": 1e-4, "betas": (0.9, 0.99), "weight_decay": 0.0} | setting
    sign = -1 if numbers.pop("maximize", False) else 1
    means = [torch.zeros_like(p).detach() for p in twin.parameters()]
    for step in range(25):
        train(model, optimizer, [step])
        grads = torch.autograd.grad(twin.loss(step), list(twin.parameters()), allow_unused=True)
        by_hand(twin.parameters(), [None if g is None else sign * g for g in grads], means, **numbers)
        assert_same(model, twin)


def test_groups_have_their_own_numbers():
    model = Model()
    twin = copy.deepcopy(model)
    train(model, Lion(decayed_and_not(model.parameters(), lr=0.0), lr=0.01), range(5))
    train(twin, Lion([p for p in twin.parameters() if p.ndim >= 2], lr=0.01, weight_decay=0.1), range(5))
    assert_same(model, twin)


def test_it_keeps_one_tensor_for_each_parameter():
    model = Model()
    optimizer = Lion(model)
    train(model, optimizer, range(2))
    assert {name for state in optimizer.state.values() for name in state} == {"exp_avg"}
