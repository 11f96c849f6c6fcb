from __future__ import annotations

import functools

import torch
from torch import nn

from tessera.debug.recording import modules_of, recorded

norm = nn.BatchNorm1d(3)


def through_a_global(x):
    return norm(x) * torch.rand(())


def test_everything_is_put_back():
    before, random = norm.running_mean.clone(), torch.get_rng_state()
    x = torch.ones(4, 3, requires_grad=True)
    run = recorded(through_a_global, (x,), {})
    assert torch.equal(norm.running_mean, before)
    assert torch.equal(torch.get_rng_state(), random)
    assert x.grad is None
    assert norm.weight.grad is None
    assert {step.operation.phase for step in run.steps} == {"forward", "backward"}
    assert run.results[0].shape == (4, 3)
    assert run.exact[0].dtype == torch.float64


def test_an_argument_that_is_written_stays_as_it_was():
    x = torch.ones(3)
    (step,) = recorded(lambda v: v.mul_(2), (x,), {}).steps
    assert step.values[0].tolist() == [2.0, 2.0, 2.0]
    assert x.tolist() == [1.0, 1.0, 1.0]


def test_the_modules_that_a_function_reaches():
    inner, outer = nn.Linear(1, 1), nn.ReLU()

    class Holder:
        def call(self, x):
            return inner(x)

    assert modules_of(inner) == [inner]
    assert modules_of(lambda x: outer(inner(x))) == [inner, outer]
    assert modules_of(Holder().call) == [inner]
    assert modules_of(functools.partial(outer.forward)) == [outer]
    assert modules_of(through_a_global) == [norm]
    assert modules_of(torch.relu) == []
