import math

from tessera.optim import warmup_cosine_decay
from tests.optim.schedules.closed_form import assert_is, assert_refused


def test_values():
    def formula(t):
        return 0.1 + 0.9 * t / 5 if t < 5 else 0.2 + 0.4 * (1 + math.cos(math.pi * min((t - 5) / 10, 1)))

    assert_is(warmup_cosine_decay(0.1, 1.0, 5, 15, end_value=0.2), formula)


def test_no_warm_up():
    assert_is(warmup_cosine_decay(0.1, 1.0, 0, 10), lambda t: 0.5 * (1 + math.cos(math.pi * min(t / 10, 1))))


def test_bad_values_are_refused():
    assert_refused(
        lambda: warmup_cosine_decay(0.0, 1.0, 100, 100),
        "decay_steps=100 was passed. decay_steps is a whole number of steps, at least 101. "
        "Write for example decay_steps=1000.",
    )
