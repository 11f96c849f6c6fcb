from __future__ import annotations

import copy

import pytest
import torch

from tessera.capture.closure import Rollback, ascends, needs_closure
from tessera.optim import SAM, sgd


@pytest.mark.parametrize(
    ("kind", "expected"), [(torch.optim.LBFGS, True), (torch.optim.SGD, False), (torch.optim.AdamW, False)]
)
def test_which_optimizers_evaluate_the_loss_themselves(kind, expected):
    assert needs_closure(kind([torch.nn.Parameter(torch.ones(1))])) is expected


def test_only_sam_itself_evaluates_it_twice():
    class Other(SAM):
        pass

    parameter = torch.nn.Parameter(torch.ones(1))
    plain, other, replaced = SAM([parameter], sgd(0.1)), Other([parameter], sgd(0.1)), SAM([parameter], sgd(0.1))
    replaced.step = lambda closure: closure()
    assert needs_closure(plain)
    assert [ascends(o) for o in (plain, other, replaced, torch.optim.SGD([parameter]))] == [True, False, False, False]


def test_a_step_without_a_closure():
    class Plain(torch.optim.SGD):
        def step(self):
            return super().step()

    assert not needs_closure(Plain([torch.nn.Parameter(torch.ones(1))]))


def test_a_step_is_taken_back_with_its_state():
    parameters = [torch.nn.Parameter(torch.randn(3)) for _ in range(2)]
    optimizers = [torch.optim.LBFGS(parameters[:1], max_iter=2), torch.optim.Adam(parameters[1:])]

    def step():
        def closure():
            for p in parameters:
                p.grad = p.detach() ** 3
            return sum((p.detach() ** 4).sum() / 4 for p in parameters)

        for optimizer in optimizers:
            optimizer.step(closure)

    step()
    before = copy.deepcopy((parameters, [o.state_dict() for o in optimizers]))
    rollback = Rollback(optimizers)
    step()
    expected = copy.deepcopy(parameters)
    rollback.restore()
    torch.testing.assert_close((parameters, [o.state_dict() for o in optimizers]), before, rtol=0, atol=0)
    step()
    torch.testing.assert_close(parameters, expected, rtol=0, atol=0)
