import copy
import random

import pytest
import torch
from torch import nn

from tessera.errors import OptimizerError
from tessera.optim import SGD, Optimizer, chain, cosine_decay, reduce_on_plateau, rmsprop, sgd
from tests.optim.schedules.closed_form import assert_is_plain_data, assert_refused

SETTINGS = [
    {},
    {"mode": "max", "patience": 1},
    {"patience": 0, "threshold": 0.1, "cooldown": 3},
    {"patience": 2, "threshold": 0.05, "threshold_mode": "abs", "factor": 0.5, "min_lr": 0.02},
    {"mode": "max", "threshold_mode": "abs", "threshold": 0.01, "patience": 3, "cooldown": 1},
]


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_torchs_learning_rates(settings):
    """200 observations, among them NaN and infinite ones."""
    mine, theirs = (nn.Parameter(torch.zeros((), dtype=torch.float64)) for _ in range(2))
    ours = SGD([mine], lr=reduce_on_plateau(0.1, **settings))
    twin = torch.optim.SGD([theirs], lr=0.1)
    scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(twin, eps=0.0, **settings)
    dice = random.Random(5)
    for number in range(200):
        for param, optimizer in ((mine, ours), (theirs, twin)):
            param.grad = torch.ones_like(param)
            optimizer.step()
        assert mine.item() == pytest.approx(theirs.item(), rel=1e-12)
        value = dice.choice([1 / (1 + number), 0.3 + dice.random() / 100, float("nan"), float("inf")])
        ours.observe(value)
        scheduler.step(value)


def test_it_reduces_a_schedule():
    param = nn.Parameter(torch.zeros((), dtype=torch.float64))
    base = cosine_decay(0.1, 100)
    optimizer = SGD([param], lr=reduce_on_plateau(base, patience=0, factor=0.5))
    expected = 0.0
    for step in range(10):
        param.grad = torch.ones_like(param)
        optimizer.step()
        expected -= base(torch.tensor(float(step), dtype=torch.float64)).item() * 0.5 ** max(step - 1, 0)
        optimizer.observe(1.0)
        assert param.item() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    "make",
    [
        lambda p: SGD(p, lr=reduce_on_plateau(0.1, patience=0)),
        lambda p: Optimizer(p, chain(rmsprop(1e-3), sgd(reduce_on_plateau(cosine_decay(0.1, 50), patience=0)))),
    ],
)
def test_what_it_has_seen_is_saved(make):
    params = [nn.Parameter(torch.ones(2, dtype=torch.float64)) for _ in range(2)]
    optimizer = make(params)

    def train(params, optimizer, losses):
        for loss in losses:
            optimizer.step(sum(p.square().sum() for p in params))
            optimizer.observe(loss)

    train(params, optimizer, [3.0, 3.0, 2.0])
    copies = [nn.Parameter(p.detach().clone()) for p in params]
    resumed = make(copies)
    resumed.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    train(params, optimizer, [2.5, 1.0])
    train(copies, resumed, [torch.tensor(2.5), torch.tensor(1.0)])
    assert all(torch.equal(a, b) for a, b in zip(params, copies, strict=True))


def test_it_is_plain_data():
    assert_is_plain_data(reduce_on_plateau(cosine_decay(0.1, 100), patience=3))


def test_nothing_to_tell_is_an_error():
    param = nn.Parameter(torch.ones(2))
    for optimizer, detail in (
        (SGD([param], lr=0.1), " yet, for it has made no update"),
        (SGD([param], lr=reduce_on_plateau(0.1)), " yet, for it has made no update"),
    ):
        with pytest.raises(OptimizerError) as caught:
            optimizer.observe(1.0)
        assert str(caught.value) == (
            f"observe(1) was called on a SGD that observes nothing{detail}. "
            "A value is observed by a learning rate that falls on a plateau, after the first update. "
            "Write for example lr=reduce_on_plateau(1e-3), and call observe(loss) after each evaluation."
        )


def test_bad_values_are_refused():
    assert_refused(
        lambda: reduce_on_plateau(0.1, mode="least"),
        'mode=\'least\' was passed. mode is "min" or "max". Write mode="min".',
    )
    assert_refused(
        lambda: reduce_on_plateau(0.1, factor=1.0),
        "factor=1.0 was passed. factor is a number in [0, 1), or a 0-d tensor. Write for example factor=0.1.",
    )
    assert_refused(
        lambda: reduce_on_plateau(-0.1),
        "lr=-0.1 was passed. lr is a finite number of at least 0, or a 0-d tensor. Write for example lr=0.001.",
    )
