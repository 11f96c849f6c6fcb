import copy
import dataclasses
import json
import math

import pytest
import torch

from tessera.errors import OptimizerError
from tessera.optim import (
    constant,
    cosine_decay,
    exponential_decay,
    linear,
    piecewise_constant,
    warmup_cosine_decay,
)
from tessera.optim.schedules import as_plain, from_plain

CLOSED_FORMS = {
    "constant": (constant(0.3), lambda _: 0.3),
    "linear": (linear(1.0, 0.2, 8, 3), lambda t: 1.0 - 0.8 * min(max(t - 3, 0) / 8, 1)),
    "cosine": (
        cosine_decay(0.5, 10, alpha=0.1, exponent=1.5),
        lambda t: 0.5 * (0.9 * ((1 + math.cos(math.pi * min(t / 10, 1))) / 2) ** 1.5 + 0.1),
    ),
    "exponential": (exponential_decay(0.5, 4, 0.7, 2), lambda t: 0.5 * 0.7 ** (max(t - 2, 0) / 4)),
    "stairs": (
        exponential_decay(0.5, 4, 0.7, staircase=True, end_value=0.2),
        lambda t: max(0.5 * 0.7 ** (t // 4), 0.2),
    ),
    "growth": (exponential_decay(0.5, 4, 2.0, end_value=3.0), lambda t: min(0.5 * 2 ** (t / 4), 3.0)),
    "warm-up": (
        warmup_cosine_decay(0.1, 1.0, 5, 15, end_value=0.2),
        lambda t: 0.1 + 0.9 * t / 5 if t < 5 else 0.2 + 0.4 * (1 + math.cos(math.pi * min((t - 5) / 10, 1))),
    ),
    "no warm-up": (
        warmup_cosine_decay(0.1, 1.0, 0, 10),
        lambda t: 0.5 * (1 + math.cos(math.pi * min(t / 10, 1))),
    ),
    "piecewise": (
        piecewise_constant(1.0, {12: 0.1, 4: 0.5}),
        lambda t: 1.0 if t < 4 else 0.5 if t < 12 else 0.05,
    ),
}
every = pytest.mark.parametrize(("schedule", "formula"), CLOSED_FORMS.values(), ids=CLOSED_FORMS)


@every
def test_values_are_those_of_the_closed_form(schedule, formula):
    for step in range(25):
        value = schedule(torch.tensor(float(step), dtype=torch.float64))
        assert value.shape == ()
        assert value.dtype == torch.float64
        assert value.item() == pytest.approx(formula(step), rel=1e-14, abs=1e-16)


@every
def test_many_steps_at_once(schedule, formula):
    values = schedule(torch.arange(25, dtype=torch.float64))
    expected = torch.tensor([formula(step) for step in range(25)], dtype=torch.float64)
    torch.testing.assert_close(values, expected, rtol=1e-14, atol=1e-16)


@every
def test_values_need_no_data(schedule, formula):
    assert schedule(torch.empty((), device="meta", dtype=torch.float64)).shape == ()


@every
def test_prints_compares_hashes_and_goes_through_json(schedule, formula):
    assert copy.deepcopy(schedule) == schedule
    assert hash(copy.deepcopy(schedule)) == hash(schedule)
    assert schedule != constant(7.0)
    assert repr(schedule).startswith(f"{type(schedule).__name__}({dataclasses.fields(schedule)[0].name}=")
    assert from_plain(json.loads(json.dumps(as_plain(schedule)))) == schedule


def test_what_is_no_built_in_schedule_stays_as_it_is():
    class Constant:
        pass

    for value in (0.1, Constant(), {"schedule": "unknown"}, {"lr": 1}, math.sqrt):
        assert as_plain(value) is value
        assert from_plain(value) is value


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: cosine_decay(-1.0, 10),
            (
                "init_value=-1.0 was passed. init_value is a finite number of at least 0, or a 0-d tensor. "
                "Write for example init_value=0.001."
            ),
        ),
        (
            lambda: cosine_decay(1.0, 0),
            (
                "decay_steps=0 was passed. decay_steps is a whole number of steps, at least 1. "
                "Write for example decay_steps=1000."
            ),
        ),
        (
            lambda: linear(1.0, 0.0, 2.5),
            (
                "transition_steps=2.5 was passed. transition_steps is a whole number of steps, at least 1. "
                "Write for example transition_steps=1000."
            ),
        ),
        (
            lambda: exponential_decay(1.0, 10, 0.0),
            (
                "decay_rate=0.0 was passed. decay_rate is a finite number above 0, or a 0-d tensor. "
                "Write for example decay_rate=0.9."
            ),
        ),
        (
            lambda: warmup_cosine_decay(0.0, 1.0, 100, 100),
            (
                "decay_steps=100 was passed. decay_steps is a whole number of steps, at least 101. "
                "Write for example decay_steps=1000."
            ),
        ),
        (
            lambda: piecewise_constant(1.0, {-1: 0.5}),
            "boundary=-1 was passed. boundary is a whole number of steps, at least 0. Write for example boundary=1000.",
        ),
    ],
)
def test_bad_arguments_are_refused(make, message):
    with pytest.raises(OptimizerError) as caught:
        make()
    assert str(caught.value) == message
