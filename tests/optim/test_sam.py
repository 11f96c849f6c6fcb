import copy

import pytest
import torch
from torch import nn

from tessera.errors import LossError, OptimizerError
from tessera.optim import SAM, adam, sgd
from tests.optim.parity import Model, assert_same


def steps(model, optimizer, numbers):
    for step in numbers:

        def closure(step=step):
            optimizer.zero_grad()
            loss = model.loss(step)
            loss.backward()
            return loss

        yield optimizer.step(closure)


@pytest.mark.parametrize("adaptive", [False, True])
def test_it_is_the_equation(adaptive):
    model = Model()
    twin = copy.deepcopy(model)
    optimizer = SAM(model, sgd(0.02), rho=0.1, adaptive=adaptive)
    for step, loss in enumerate(steps(model, optimizer, range(8))):
        params = list(twin.parameters())

        def gradient(step=step, params=params):
            found = torch.autograd.grad(twin.loss(step), params, allow_unused=True)
            return [torch.zeros_like(p) if g is None else g for g, p in zip(found, params, strict=True)]

        assert loss.item() == pytest.approx(twin.loss(step).item(), rel=1e-11)
        first = gradient()
        with torch.no_grad():
            weights = [p.abs() if adaptive else torch.ones_like(p) for p in params]
            norm = sum((g * w).square().sum() for g, w in zip(first, weights, strict=True)).sqrt()
            ways = [0.1 * w**2 * g / norm for g, w in zip(first, weights, strict=True)]
            for p, way in zip(params, ways, strict=True):
                p.add_(way)
        second = gradient()
        with torch.no_grad():
            for p, way, g in zip(params, ways, second, strict=True):
                p.sub_(way).sub_(0.02 * g)
        assert_same(model, twin, tolerance=1e-11)


def test_state_moves_to_another():
    model = Model()
    optimizer = SAM(model, adam(0.05), rho=0.2)
    list(steps(model, optimizer, range(4)))
    other = copy.deepcopy(model)
    resumed = SAM(other, adam(0.05))
    resumed.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    assert resumed.param_groups[0]["rho"] == 0.2
    list(steps(model, optimizer, range(4, 8)))
    list(steps(other, resumed, range(4, 8)))
    assert_same(model, other, tolerance=0.0)


def test_the_parameters_are_back_when_the_second_evaluation_fails():
    param = nn.Parameter(torch.ones(2))
    optimizer, calls = SAM([param], sgd(0.1), rho=0.5), []

    def closure():
        calls.append(param.detach().clone())
        if len(calls) == 2:
            raise RuntimeError("the second time")
        optimizer.zero_grad()
        loss = param.sum()
        loss.backward()
        return loss

    with pytest.raises(RuntimeError, match="^the second time$"):
        optimizer.step(closure)
    assert not torch.equal(calls[1], calls[0])
    assert torch.equal(param, torch.ones(2))


@pytest.mark.parametrize(("given", "name"), [(torch.ones(()), "a loss"), (None, "None")])
def test_it_needs_a_function(given, name):
    with pytest.raises(LossError) as caught:
        SAM([nn.Parameter(torch.ones(2))], sgd(0.1)).step(given)
    assert str(caught.value) == (
        f"SAM.step() was given {name}. "
        "SAM evaluates the loss twice, at the parameters and at the worst point nearby. "
        "Pass a function that clears gradients, computes them and returns the loss; or call "
        "train_step(model, loss, optimizer)."
    )


def test_bad_numbers_are_refused():
    with pytest.raises(OptimizerError, match="^rho=-1 was passed"):
        SAM([nn.Parameter(torch.ones(2))], sgd(0.1), rho=-1)
