import torch

from tessera.optim import linear
from tests.optim.schedules.closed_form import assert_is, assert_refused, torchs


def test_values():
    assert_is(linear(1.0, 0.2, 8, 3), lambda t: 1.0 - 0.8 * min(max(t - 3, 0) / 8, 1))


def test_torchs_values():
    rates = torchs(lambda o: torch.optim.lr_scheduler.LinearLR(o, 0.1, 1.0, 10), 0.5, 25)
    assert_is(linear(0.05, 0.5, 10), lambda t: rates[t], tolerance=1e-12)


def test_bad_values_are_refused():
    assert_refused(
        lambda: linear(1.0, 0.0, 2.5),
        "transition_steps=2.5 was passed. transition_steps is a whole number of steps, at least 1. "
        "Write for example transition_steps=1000.",
    )
