from __future__ import annotations

import copy
import gc
import pickle
import weakref

import pytest
import torch
import torch.nn.functional as F

from tessera.nn.whole_steps import WholeSteps, owns_all


class Builder:
    def __init__(self):
        self.built = []

    def __call__(self, module, loss, optimizer, *, metrics=None):
        self.built.append((module, loss, optimizer, metrics))
        return lambda *batch: self.built[-1]


@pytest.fixture
def module():
    return torch.nn.Linear(2, 2)


@pytest.fixture
def optimizer(module):
    return torch.optim.SGD(module.parameters(), lr=0.1)


class Criterion:
    def loss(self, prediction, target):
        return F.mse_loss(prediction, target)

    def other(self, prediction, target):
        return F.l1_loss(prediction, target)


def test_a_pair_is_known_once_it_was_noted(module, optimizer):
    steps, criterion = WholeSteps.of(optimizer), Criterion()
    for loss in (F.mse_loss, torch.nn.MSELoss(), criterion.loss):
        assert not steps.knows(module, loss)
        steps.note(module, loss)
        assert steps.knows(module, loss)
    assert steps.knows(module, criterion.loss)  # another bound method, the same method of the same object
    assert not steps.knows(module, criterion.other)
    assert not steps.knows(module, Criterion().loss)
    assert not steps.knows(torch.nn.Linear(2, 2), F.mse_loss)


def test_a_lambda_of_the_last_step_is_not_this_ones(module, optimizer):
    steps = WholeSteps.of(optimizer)
    for _ in range(3):
        loss = lambda p, t: (p - t).square().mean()  # noqa: E731
        assert not steps.knows(module, loss)
        steps.note(module, loss)


class NoWeakReference:
    __slots__ = ()

    def __call__(self, prediction, target):
        return F.mse_loss(prediction, target)


def test_what_cannot_be_pointed_to_never_becomes_known(module, optimizer):
    steps, loss = WholeSteps.of(optimizer), NoWeakReference()
    steps.note(module, loss)
    assert not steps.knows(module, loss)


def test_one_program_for_each_pair_and_use(module, optimizer):
    steps, build = WholeSteps.of(optimizer), Builder()
    step = steps.step(module, F.mse_loss, optimizer, build, keep_prediction=False)
    assert WholeSteps.of(optimizer).step(module, F.mse_loss, optimizer, build, keep_prediction=False) is step
    assert build.built == [(module, F.mse_loss, optimizer, None)]
    steps.step(module, F.mse_loss, optimizer, build, keep_prediction=True)
    prediction = torch.ones(2)
    assert build.built[1][3]["prediction"](prediction, None) is prediction
    steps.step(module, F.l1_loss, optimizer, build, keep_prediction=False)
    assert len(build.built) == 3


def test_they_die_with_the_optimizer():
    module = torch.nn.Linear(2, 2)
    optimizer, build = torch.optim.SGD(module.parameters(), lr=0.1), Builder()
    WholeSteps.of(optimizer).step(module, F.mse_loss, optimizer, build, keep_prediction=False)
    alive = weakref.ref(module), weakref.ref(optimizer)
    del module, optimizer, build
    gc.collect()
    assert [reference() for reference in alive] == [None, None]


def test_a_loss_is_not_kept_alive(module, optimizer):
    criterion = torch.nn.MSELoss()
    WholeSteps.of(optimizer).note(module, criterion)
    alive = weakref.ref(criterion)
    del criterion
    gc.collect()
    assert alive() is None


@pytest.mark.parametrize("duplicate", [copy.deepcopy, copy.copy, lambda o: pickle.loads(pickle.dumps(o))])
def test_a_copied_optimizer_starts_without(module, optimizer, duplicate):
    steps = WholeSteps.of(optimizer)
    steps.note(module, F.mse_loss)
    assert not WholeSteps.of(duplicate(optimizer)).knows(module, F.mse_loss)
    assert not duplicate(steps).knows(module, F.mse_loss)
    assert steps.knows(module, F.mse_loss)


def test_the_optimizers_state_dict_is_torchs(module, optimizer):
    before = optimizer.state_dict()
    WholeSteps.of(optimizer).note(module, F.mse_loss)
    assert optimizer.state_dict() == before


def test_whose_parameters_an_optimizer_has(module, optimizer):
    other = torch.nn.Linear(2, 2)
    assert owns_all(module, optimizer)
    assert owns_all(torch.nn.Sequential(module, other), optimizer)
    assert not owns_all(other, optimizer)
    optimizer.add_param_group({"params": other.parameters()})
    assert not owns_all(module, optimizer)
