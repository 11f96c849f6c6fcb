from __future__ import annotations

import copy

import pytest
import torch

from tessera.optim import AdamW
from tessera.train.same_tensors import same_tensors

OPTIMIZERS = {
    "torch": lambda parameters: torch.optim.AdamW(parameters, lr=0.1),
    "torch, numbers in its state": lambda parameters: torch.optim.LBFGS(parameters, max_iter=2),
    "tessera": lambda parameters: AdamW(parameters, lr=0.1),
}


def train(parameter, optimizer, steps):
    def closure():
        optimizer.zero_grad()
        loss = (parameter - 1).square().sum()
        loss.backward()
        return loss

    for _ in range(steps):
        optimizer.step(closure)


def values(optimizer):
    return copy.deepcopy(optimizer.state_dict()["state"])


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_what_is_loaded_goes_into_the_tensors_that_are_there(kind):
    parameter = torch.nn.Parameter(torch.arange(3.0))
    optimizer = OPTIMIZERS[kind]([parameter])
    train(parameter, optimizer, 2)
    saved, then = copy.deepcopy(optimizer.state_dict()), values(optimizer)
    train(parameter, optimizer, 1)
    table, tensors = optimizer.state[parameter], dict(optimizer.state[parameter])
    with same_tensors([optimizer]):
        optimizer.load_state_dict(saved)
    assert optimizer.state[parameter] is table
    for name, value in table.items():
        expected = then[0][name]
        assert torch.equal(value, expected) if isinstance(value, torch.Tensor) else str(value) == str(expected)
        assert value is tensors[name] or not isinstance(value, torch.Tensor)


def test_another_state_takes_its_place():
    parameter = torch.nn.Parameter(torch.arange(3.0))
    plain, momentum = (torch.optim.SGD([parameter], lr=0.1, momentum=m) for m in (0.0, 0.9))
    train(parameter, momentum, 1)
    train(parameter, plain, 1)
    with same_tensors([plain]):
        plain.load_state_dict(momentum.state_dict())
    assert torch.equal(plain.state[parameter]["momentum_buffer"], momentum.state[parameter]["momentum_buffer"])
