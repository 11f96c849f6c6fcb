from __future__ import annotations

from tessera.train.pace import MOST_STEPS, Pace


def test_fast_steps_come_in_ever_larger_stacks():
    pace, seen = Pace(), []
    for _ in range(6):
        seen.append(pace.steps)
        pace.follow(pace.steps, pace.steps * 1e-6)
    assert seen == [1, 8, 64, 512, MOST_STEPS, MOST_STEPS]


def test_slow_steps_stay_alone():
    pace = Pace()
    pace.follow(1, 20.0)  # compiled
    pace.follow(1, 0.5)
    assert pace.steps == 1


def test_a_stack_that_takes_too_long_is_halved():
    pace = Pace(64)
    pace.follow(64, 0.3)
    assert pace.steps == 32
    pace.follow(32, 0.1)
    assert pace.steps == 32


def test_a_short_remainder_says_nothing_about_full_stacks():
    pace = Pace(64)
    pace.follow(3, 0.001)
    assert pace.steps == 64


def test_something_that_is_due_comes_before_the_pace():
    pace = Pace(64)
    assert pace.next == 64
    pace.room = 5
    assert pace.next == 5
    pace.follow(5, 1e-6)  # as many as there was room for, and fast
    assert pace.steps == 512
    pace.room = 0
    assert pace.next == 1
