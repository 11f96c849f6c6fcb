from __future__ import annotations

import time

import pytest

from tessera.data.timings import Timings


def test_costs_add_up():
    one, other = Timings(), Timings()
    one.add("read", 1.0, 10)
    other.add("read", 0.5, 5)
    other.add("map", 0.25, 5)
    one.merge(other)
    assert one.seconds == {"read": 1.5, "map": 0.25}
    assert one.samples == {"read": 15, "map": 5}


def test_a_block_is_timed_also_when_it_fails():
    timings = Timings()
    with pytest.raises(ZeroDivisionError), timings.timed("read", 3):
        sleep_and_fail()
    assert timings.seconds["read"] >= 0.01


def sleep_and_fail():
    time.sleep(0.01)
    raise ZeroDivisionError
