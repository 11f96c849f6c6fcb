import torch

from tessera.optim import polynomial_decay
from tests.optim.schedules.closed_form import assert_is, assert_refused, torchs


def test_values():
    assert_is(
        polynomial_decay(1.0, 0.2, 2.5, 10, 3), lambda t: 0.2 + 0.8 * (1 - min(max(t - 3, 0) / 10, 1)) ** 2.5, steps=30
    )


def test_torchs_values():
    rates = torchs(lambda o: torch.optim.lr_scheduler.PolynomialLR(o, 10, power=2.0), 0.5, 25)
    assert_is(polynomial_decay(0.5, 0.0, 2.0, 10), lambda t: rates[t], tolerance=1e-12)


def test_bad_values_are_refused():
    assert_refused(
        lambda: polynomial_decay(1.0, 0.0, 0.0, 10),
        "power=0.0 was passed. power is a finite number above 0, or a 0-d tensor. Write for example power=2.0.",
    )
