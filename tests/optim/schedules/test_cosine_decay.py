import math

import torch

from tessera.optim import cosine_decay
from tests.optim.schedules.closed_form import assert_is, assert_refused, torchs


def test_values():
    assert_is(
        cosine_decay(0.5, 10, alpha=0.1, exponent=1.5),
        lambda t: 0.5 * (0.9 * ((1 + math.cos(math.pi * min(t / 10, 1))) / 2) ** 1.5 + 0.1),
    )


def test_torchs_values():
    rates = torchs(lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, 20, eta_min=0.1), 0.5, 20)
    assert_is(cosine_decay(0.5, 20, alpha=0.2), lambda t: rates[t], steps=20, tolerance=1e-12)


def test_bad_values_are_refused():
    assert_refused(
        lambda: cosine_decay(-1.0, 10),
        "init_value=-1.0 was passed. init_value is a finite number of at least 0, or a 0-d tensor. "
        "Write for example init_value=0.001.",
    )
    assert_refused(
        lambda: cosine_decay(1.0, 0),
        "decay_steps=0 was passed. decay_steps is a whole number of steps, at least 1. "
        "Write for example decay_steps=1000.",
    )
