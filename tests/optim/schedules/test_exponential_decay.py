import torch

from tessera.optim import exponential_decay
from tests.optim.schedules.closed_form import assert_is, assert_refused, torchs


def test_values():
    assert_is(exponential_decay(0.5, 4, 0.7, 2), lambda t: 0.5 * 0.7 ** (max(t - 2, 0) / 4))


def test_stairs():
    assert_is(exponential_decay(0.5, 4, 0.7, staircase=True, end_value=0.2), lambda t: max(0.5 * 0.7 ** (t // 4), 0.2))


def test_growth():
    assert_is(exponential_decay(0.5, 4, 2.0, end_value=3.0), lambda t: min(0.5 * 2 ** (t / 4), 3.0))


def test_torchs_values():
    rates = torchs(lambda o: torch.optim.lr_scheduler.StepLR(o, 6, gamma=0.3), 0.5, 25)
    assert_is(exponential_decay(0.5, 6, 0.3, staircase=True), lambda t: rates[t], tolerance=1e-12)


def test_bad_values_are_refused():
    assert_refused(
        lambda: exponential_decay(1.0, 10, 0.0),
        "decay_rate=0.0 was passed. decay_rate is a finite number above 0, or a 0-d tensor. "
        "Write for example decay_rate=0.9.",
    )
