from __future__ import annotations

import math

import pytest
import torch

import tessera
from tessera.optim import (
    SAM,
    SGD,
    AdamW,
    Optimizer,
    accumulate,
    chain,
    clip_by_global_norm,
    cosine_decay,
    linear,
    partition,
    reduce_on_plateau,
    sgd,
    skip_if_not_finite,
    warmup_cosine_decay,
)
from tessera.train.callbacks.learning_rate import LearningRateMonitor, learning_rates
from tests.train.callbacks.hand_made import Training


def weight():
    return torch.nn.Parameter(torch.ones(2))


def backward(param):
    param.grad = None
    param.square().sum().backward()


def used_rate(optimizer, param):
    """The rate of one SGD step on a gradient of ones, seen in what it does."""
    before = param.detach().double().clone()
    param.grad = torch.ones_like(param)
    optimizer.step()
    return (before - param.detach().double())[0].item()


@pytest.mark.parametrize(
    "lr",
    [
        0.25,
        torch.tensor(0.25),
        cosine_decay(0.5, 10),
        warmup_cosine_decay(0.0, 0.5, 3, 10),
        lambda step: 0.5 / (1 + step),
    ],
    ids=["number", "tensor", "cosine", "warmup", "own"],
)
def test_it_is_the_rate_that_the_update_was_made_with(lr):
    param = torch.nn.Parameter(torch.zeros(2, dtype=torch.float64))
    optimizer = SGD([param], lr=lr)
    for _ in range(12):
        used = used_rate(optimizer, param)
        assert learning_rates([optimizer]) == {"lr": pytest.approx(used, abs=1e-12)}


def test_a_plateau():
    param = torch.nn.Parameter(torch.zeros(2, dtype=torch.float64))
    optimizer = SGD([param], lr=reduce_on_plateau(linear(0.5, 0.1, 20), factor=0.1, patience=0))
    assert learning_rates([optimizer]) == {"lr": 0.5}
    for _ in range(6):
        used = used_rate(optimizer, param)
        assert learning_rates([optimizer]) == {"lr": pytest.approx(used, rel=1e-12)}
        optimizer.observe(1.0)


def test_a_scheduler_of_torch():
    param = weight()
    optimizer = torch.optim.AdamW([param], lr=0.5)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 10)
    for step in range(10):
        assert learning_rates([optimizer]) == {"lr": pytest.approx(0.25 * (1 + math.cos(math.pi * step / 10)))}
        backward(param)
        optimizer.step()
        scheduler.step()


def test_names():
    one = SGD([{"params": [weight()], "lr": 0.1}, {"params": [weight()], "lr": 0.2}], lr=1.0)
    two, three = AdamW([weight()], lr=0.3), AdamW([weight()], lr=0.4)
    assert learning_rates([two]) == {"lr": 0.3}
    assert learning_rates([one]) == {"lr/0": 0.1, "lr/1": 0.2}
    assert learning_rates([one, two]) == {"lr/SGD/0": 0.1, "lr/SGD/1": 0.2, "lr/AdamW": 0.3}
    assert learning_rates([two, three]) == {"lr/AdamW 1": 0.3, "lr/AdamW 2": 0.4}
    assert learning_rates([]) == {}


@pytest.mark.parametrize(
    "wrap",
    [
        lambda rate: chain(sgd(rate)),
        lambda rate: chain(clip_by_global_norm(1e9), accumulate(1), sgd(rate), skip_if_not_finite()),
        lambda rate: partition([(lambda p: p.ndim == 1, sgd(rate)), (lambda _: True, sgd(9.0))]),
    ],
    ids=["chain", "around", "partition"],
)
def test_a_rate_inside_a_transformation(wrap):
    param = torch.nn.Parameter(torch.zeros(2, dtype=torch.float64))
    optimizer = Optimizer([param], wrap(cosine_decay(0.5, 10)))
    assert 0.5 in learning_rates([optimizer]).values()
    for _ in range(12):
        used = used_rate(optimizer, param)
        assert min(learning_rates([optimizer]).values()) == pytest.approx(used, abs=1e-12)


def test_looking_changes_nothing():
    param = weight()
    optimizer = AdamW([param], lr=cosine_decay(0.5, 10))
    backward(param)
    optimizer.step()
    random, state = torch.get_rng_state(), {name: value.clone() for name, value in optimizer.state[param].items()}
    versions = [value._version for value in optimizer.state[param].values()]
    learning_rates([optimizer])
    assert torch.equal(random, torch.get_rng_state())
    assert [value._version for value in optimizer.state[param].values()] == versions
    assert all(torch.equal(value, optimizer.state[param][name]) for name, value in state.items())


def monitored(every=3, **settings):
    param = weight()
    optimizer = SGD([param], lr=linear(1.0, 0.0, 20))

    def update():
        backward(param)
        optimizer.step()

    return Training(14, 7, optimizers=[optimizer], update=update, **settings), LearningRateMonitor(every)


def test_the_monitor_keeps_steps_and_rates():
    training, monitor = monitored()
    training.run([monitor])
    assert monitor.lr == {"lr": [(step, pytest.approx(1 - (step - 1) / 20)) for step in (3, 6, 9, 12, 14)]}
    assert training.history.learning_rates is monitor.lr


def test_the_monitor_goes_on():
    training, monitor = monitored(save_every=5)
    training.run([monitor])
    training, first = monitored(save_every=5)
    *_, last = training.run([first], die_after=11)
    resumed = LearningRateMonitor(3)
    training.run([resumed], since=last)  # the same optimizer, one step ahead: the steps are what counts here
    assert [step for step, _ in resumed.lr["lr"]] == [step for step, _ in monitor.lr["lr"]]
    assert resumed.lr["lr"][:3] == first.lr["lr"][:3]
    assert all(isinstance(entry, tuple) for entry in resumed.lr["lr"])


def test_a_step_that_is_one_program_goes_on_as_it_is():
    torch.manual_seed(0)
    model = torch.nn.Linear(3, 2)
    optimizer = AdamW(model, lr=cosine_decay(0.1, 10))
    step = tessera.train_step(model, "mse", optimizer)
    x, y = torch.randn(4, 3), torch.randn(4, 2)
    schedule = cosine_decay(0.1, 10)
    for number in range(4):
        step(x, y)
        assert learning_rates([optimizer])["lr"] == pytest.approx(float(schedule(torch.tensor(float(number)))))
        if number == 0:
            report = str(step.report)
    assert str(step.report) == report


@pytest.mark.parametrize("name", sorted(n for n, kind in vars(tessera.optim).items() if isinstance(kind, type)))
def test_every_optimizer_tells_its_rate(name):
    kind = getattr(tessera.optim, name)
    if not issubclass(kind, Optimizer) or kind in (Optimizer, SAM):
        return
    param = torch.nn.Parameter(torch.ones(2, 2))
    optimizer = kind([param], lr=linear(0.5, 0.1, 4))
    for rate in (0.5, 0.5, 0.4, 0.3):
        assert learning_rates([optimizer]) == {"lr": pytest.approx(rate)}
        backward(param)
        optimizer.step()
