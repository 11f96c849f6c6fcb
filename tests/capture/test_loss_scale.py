from __future__ import annotations

import random

import pytest
import torch

from tessera.capture.loss_scale import LossScale, Scaling, resolve_loss_scale
from tessera.errors import ResumeError, SettingError

INF, NAN = float("inf"), float("nan")
RULES = [LossScale(), LossScale(8.0, 3.0, 0.1, 2), LossScale(2.0**126, interval=1)]


@pytest.mark.parametrize("rule", RULES)
def test_the_scale_follows_grad_scaler(rule):
    draw = random.Random(0)
    scaling = Scaling(rule, in_force=True)
    parameter = torch.nn.Parameter(torch.zeros(()))
    optimizer = torch.optim.SGD([parameter])
    scaler = torch.amp.GradScaler("cpu", rule.initial, rule.growth, rule.backoff, rule.interval)
    skipped = 0
    for _ in range(60):
        finite = draw.random() < 0.8
        skipped += not finite
        scaler.scale(parameter * 1.0)
        parameter.grad = torch.tensor(1.0 if finite else float("nan"))
        scaler.step(optimizer)
        scaler.update()
        scaling.follow(torch.tensor(finite))
        assert scaling.scale.item() == scaler.get_scale()
        assert scaling.tensors[1].item() == scaler._get_growth_tracker()
        assert scaling.skipped.item() == skipped


def test_the_scale_never_becomes_zero():
    """GradScaler's does, and has no way back."""
    scaling = Scaling(LossScale(1.0, interval=1), in_force=True)
    for _ in range(300):
        scaling.follow(torch.tensor(False))
    assert scaling.scale > 0
    assert scaling.scale.reciprocal().isfinite()
    scaling.follow(torch.tensor(True))
    assert scaling.scale == 2 * torch.finfo(torch.float32).tiny


def test_a_saved_count_beyond_the_interval_does_not_stop_the_growth():
    scaling = Scaling(LossScale(4.0, interval=2), in_force=True)
    state = {name: value.clone() for name, value in scaling.state_dict().items()}
    state["good_updates"].fill_(1000)
    scaling.load_state_dict(state)
    scaling.follow(torch.tensor(True))
    assert scaling.scale == 8.0


@pytest.mark.parametrize(
    ("given", "scale", "in_force", "dynamic"),
    [("auto", 65536.0, False, True), ("dynamic", 65536.0, True, True), (8, 8.0, True, False), (0.5, 0.5, True, False)],
)
def test_what_the_argument_means(given, scale, in_force, dynamic):
    scaling = resolve_loss_scale(given)
    assert (scaling.scale.item(), scaling.in_force, scaling.rule.is_dynamic) == (scale, in_force, dynamic)


def test_a_rule_and_none():
    rule = LossScale(4.0)
    assert resolve_loss_scale(rule).rule is rule
    assert resolve_loss_scale(None) is None


@pytest.mark.parametrize(
    ("given", "nearest"),
    [("dynmic", "dynamic"), ("Automatic", "auto"), (0, "auto"), (-1.0, "auto"), (float("nan"), "auto"), (True, "auto")],
)
def test_no_loss_scale(given, nearest):
    with pytest.raises(SettingError) as raised:
        resolve_loss_scale(given)
    assert str(raised.value) == (
        f"loss_scale={given!r} was passed. "
        'It is "auto", "dynamic", a finite number above 0, a LossScale(...), or None for no scaling. '
        f'Write loss_scale="{nearest}".'
    )


@pytest.mark.parametrize(
    ("name", "values"),
    [("initial", [0.0, INF, NAN]), ("growth", [0.5, NAN]), ("backoff", [0.0, 2.0, NAN]), ("interval", [0, 1.5, INF])],
)
def test_numbers_that_make_no_rule(name, values):
    for value in values:
        with pytest.raises(SettingError, match=rf"^LossScale\({name}={value}\) was passed\. {name} is .* Write Loss"):
            LossScale(**{name: value})


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"scale": torch.tensor(0.0)}, "A loss scale of 0.0 was to be loaded"),
        ({"scale": torch.tensor(float("nan"))}, "A loss scale of nan was to be loaded"),
        ({"scale": torch.ones(2)}, "one number each"),
        ({"more": torch.tensor(1)}, "entries good_updates, more, scale, skipped"),
    ],
)
def test_a_state_that_is_none(change, words):
    scaling = Scaling(LossScale(), in_force=False)
    with pytest.raises(ResumeError, match=words):
        scaling.load_state_dict(scaling.state_dict() | change)
    assert scaling.scale == 65536.0
    assert not scaling.in_force
