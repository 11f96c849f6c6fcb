import torch

from tessera.optim import piecewise_constant
from tests.optim.schedules.closed_form import assert_is, assert_refused, torchs


def test_values():
    assert_is(piecewise_constant(1.0, {12: 0.1, 4: 0.5}), lambda t: 1.0 if t < 4 else 0.5 if t < 12 else 0.05)


def test_torchs_values():
    rates = torchs(lambda o: torch.optim.lr_scheduler.MultiStepLR(o, [3, 9], gamma=0.3), 0.5, 25)
    assert_is(piecewise_constant(0.5, {3: 0.3, 9: 0.3}), lambda t: rates[t], tolerance=1e-12)


def test_bad_values_are_refused():
    assert_refused(
        lambda: piecewise_constant(1.0, {-1: 0.5}),
        "boundary=-1 was passed. boundary is a whole number of steps, at least 0. Write for example boundary=1000.",
    )
