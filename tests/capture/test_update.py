from __future__ import annotations

import copy

import pytest
import torch

import tessera
from tessera.capture.step_down import CannotCapture, NeedsEagerStep
from tessera.capture.update import record_update


def parameters():
    return [torch.nn.Parameter(torch.randn(3, 2, dtype=torch.float64)), torch.nn.Parameter(torch.randn(4).double())]


def applied(update, gradients):
    states = [slot.tensor for slot in update.slots]
    with torch.no_grad():
        return update.apply([p.detach() for p in update.parameters], gradients, states, update.hyper_parameters.tensors)


@pytest.mark.parametrize(
    ("kind", "options"),
    [(torch.optim.AdamW, {"weight_decay": 0.1, "amsgrad": True}), (torch.optim.RMSprop, {"momentum": 0.9})],
)
def test_a_recorded_update_is_the_real_step(kind, options):
    own = parameters()
    optimizer = kind(own, lr=0.05, **options)
    twins = [copy.deepcopy(p) for p in own]
    reference = kind(twins, lr=0.05, **options)
    update = record_update(optimizer, own)
    assert all(p.grad is None for p in own)
    for lr in (0.05, 0.2, 0.01):
        for each in (optimizer, reference):
            each.param_groups[0]["lr"] = lr
        assert update.current()
        gradients = [torch.randn_like(p) for p in own]
        new, states = applied(update, gradients)
        for twin, gradient in zip(twins, gradients, strict=True):
            twin.grad = gradient
        reference.step()
        torch.testing.assert_close(new, [t.detach() for t in twins], rtol=1e-12, atol=1e-14)
        for slot, value in zip(update.slots, states, strict=True):
            twin = twins[[p is slot.parameter for p in own].index(True)]
            torch.testing.assert_close(value, reference.state[twin][slot.name], rtol=1e-12, atol=1e-14)
            slot.tensor.copy_(value)
        for parameter, value in zip(own, new, strict=True):
            parameter.data.copy_(value)


def test_recording_changes_no_weight_and_uses_only_the_chosen_parameters():
    own = parameters()
    before = [p.detach().clone() for p in own]
    optimizer = torch.optim.Adam(own)
    update = record_update(optimizer, own[:1])
    assert update.parameters == own[:1]
    assert {slot.parameter for slot in update.slots} == {own[0]}
    assert all(torch.equal(p, b) for p, b in zip(own, before, strict=True))


def test_state_or_structure_that_changed_is_noticed():
    own = parameters()
    optimizer = torch.optim.AdamW(own, weight_decay=0.0)
    update = record_update(optimizer, own)
    assert update.current()
    optimizer.state[own[0]]["exp_avg"] = torch.zeros_like(own[0])
    assert not update.current()
    update = record_update(optimizer, own)
    optimizer.step = lambda closure=None: None
    assert not update.current()
    del optimizer.step
    assert update.current()
    optimizer.param_groups[0]["weight_decay"] = 0.1
    assert not update.current()


def test_momentum_is_made_in_the_first_step():
    own = parameters()
    optimizer = torch.optim.SGD(own, lr=0.1, momentum=0.9)
    with pytest.raises(NeedsEagerStep, match="SGD makes its state in its first step"):
        record_update(optimizer, own)
    for p in own:
        p.grad = torch.ones_like(p)
    optimizer.step()
    update = record_update(optimizer, own)
    assert [slot.name for slot in update.slots] == ["momentum_buffer"] * 2


def test_what_cannot_be_recorded_says_why():
    class Mine(torch.optim.SGD):
        pass

    own = parameters()
    with pytest.raises(CannotCapture, match=f"Mine is defined in {__name__}, and its step may keep Python state"):
        record_update(Mine(own), own)
    with pytest.raises(CannotCapture, match="LBFGS evaluates the loss several times in one step"):
        record_update(torch.optim.LBFGS(own), own)
    with pytest.raises(CannotCapture, match="Adam was made with differentiable=True"):
        record_update(torch.optim.Adam(own, differentiable=True), own)
    replaced = torch.optim.SGD(own)
    replaced.step = lambda: None
    with pytest.raises(CannotCapture, match="the step of this SGD was replaced"):
        record_update(replaced, own)


def test_groups_hold_the_names_of_the_parameters_that_take_part():
    seen = []

    class ByName(torch.optim.SGD):
        __module__ = "tessera.optim.by_name"

        def step(self):
            seen.extend([n for n, _ in zip(g["param_names"], g["params"], strict=True)] for g in self.param_groups)

    own = parameters()
    record_update(ByName([("weight", own[0]), ("bias", own[1])]), own[1:])
    assert seen == [["bias"]]
    record_update(ByName([{"params": [(name, p)]} for name, p in zip("ab", own, strict=True)]), own)
    assert seen[1:] == [["a"], ["b"]]


def test_parameters_that_are_alike_are_recorded_once():
    own = [torch.nn.Parameter(torch.randn(3, 2)) for _ in range(4)] + [torch.nn.Parameter(torch.randn(5))]
    groups = [{"params": own[:2]}, {"params": own[2:], "weight_decay": 0.5}]
    update = record_update(torch.optim.AdamW(groups), own)
    assert [[at for at, _ in kind.members] for kind in update.kinds] == [[[0], [1]], [[2], [3]], [[4]]]
    assert sorted(i for kind in update.kinds for _, slots in kind.members for i in slots) == list(range(15))


def test_tesseras_optimizers_are_recorded_with_all_parameters_at_once():
    own = [torch.nn.Parameter(torch.randn(3)) for _ in range(3)]
    update = record_update(tessera.optim.AdamW(own, lr=0.1), own)
    assert [[at for at, _ in kind.members] for kind in update.kinds] == [[[0, 1, 2]]]
