"""What an update works on."""

from __future__ import annotations

import pytest
import torch

from tessera.capture.bound_update import BoundUpdate, is_replaced, make_state, parameters_of, state_slots
from tessera.capture.hyper_parameters import HyperParameters
from tessera.capture.number_guards import NumberGuards
from tessera.capture.step_down import CannotCapture
from tessera.optim import Adam


def parts(kind=torch.optim.Adam):
    parameters = [torch.nn.Parameter(torch.ones(size)) for size in (2, 3)]
    return parameters, kind(parameters, lr=0.1)


@pytest.mark.parametrize("kind", [torch.optim.Adam, Adam])
def test_state_is_made_for_those_that_take_part_and_nothing_is_updated(kind):
    (first, second), optimizer = parts(kind)
    first.grad = torch.ones(2)
    make_state(optimizer, [second])
    assert set(optimizer.state) == {second}
    assert [slot.name for slot in state_slots(optimizer, [first, second])] == ["step", "exp_avg", "exp_avg_sq"]
    assert torch.equal(first.grad, torch.ones(2))
    assert second.grad is None
    assert torch.equal(second, torch.ones(3))


def test_parameters_stand_in_the_order_of_the_optimizer():
    (first, second), optimizer = parts()
    assert [id(p) for p in parameters_of(optimizer, [second, first])] == [id(first), id(second)]
    assert parameters_of(optimizer, [torch.ones(1)]) == []


def test_it_is_current_until_state_or_a_guarded_number_changes():
    parameters, optimizer = parts()
    make_state(optimizer, parameters)
    guards = [NumberGuards([["Unequality", ["symbol", 0], 0.0]])]

    def bound():
        return BoundUpdate(
            optimizer, parameters, state_slots(optimizer, parameters), HyperParameters(optimizer), guards
        )

    update = bound()
    optimizer.param_groups[0]["lr"] = 0.5
    assert update.current()
    assert update.hyper_parameters.tensors[0] == 0.5
    optimizer.param_groups[0]["lr"] = 0.0
    assert not update.current()
    optimizer.param_groups[0]["lr"] = 0.1
    optimizer.load_state_dict(optimizer.state_dict())
    assert not update.current()
    assert bound().current()


def test_a_step_that_was_replaced():
    _, optimizer = parts()
    assert not is_replaced(optimizer)
    torch.optim.lr_scheduler.LambdaLR(optimizer, lambda _: 1.0)
    assert not is_replaced(optimizer)
    optimizer.step = lambda: None
    assert is_replaced(optimizer)


def test_no_way_to_make_state():
    parameter = torch.nn.Parameter(torch.ones(1))
    with pytest.raises(CannotCapture, match="SparseAdam|no dense state|Mine"):
        make_state(type("Mine", (torch.optim.Optimizer,), {})([parameter], {}), [parameter])
