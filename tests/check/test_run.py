from __future__ import annotations

import random

import pytest
import torch
from torch import nn

from tessera import Tensor
from tessera.check.run import Plan, place_of, run
from tessera.shapes.signature import read_contract


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.seen = []
        self.norm = nn.BatchNorm1d(4)
        self.inner = nn.Sequential(nn.Linear(5, 5))

    def forward(self, x: Tensor[B, 4]) -> Tensor[B, 4]:
        self.seen.append(x)
        self.extra = random.random()
        torch.set_grad_enabled(False)
        return self.inner(self.norm(x))


def outcome_of(module):
    contract = read_contract(module.forward)
    return run(module.forward, contract, Plan({"B": 97}, {}), module)


def test_everything_is_put_back():
    net, state = Net(), random.getstate()
    mean = net.norm.running_mean.clone()
    outcome_of(net)
    assert net.seen == []
    assert not hasattr(net, "extra")
    assert torch.equal(net.norm.running_mean, mean)
    assert int(net.norm.num_batches_tracked) == 0
    assert random.getstate() == state
    assert torch.is_grad_enabled()


def test_the_place_of_an_exception():
    outcome = outcome_of(Net())
    assert outcome.failing.name == "linear"
    assert outcome.place.where.code == "return self.inner(self.norm(x))"
    assert outcome.place.layer == "inner.0"
    assert not outcome.place.by_user
    start, end = outcome.place.columns
    assert outcome.place.where.code[start:end] == "self.inner(self.norm(x))"


def test_an_exception_of_the_users_own():
    with pytest.raises(ValueError, match="mine") as caught:
        raise ValueError("mine")
    place = place_of(caught.value, None)
    assert place.by_user
    assert place.function == "test_an_exception_of_the_users_own"
