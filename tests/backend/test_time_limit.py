from __future__ import annotations

import contextlib
import threading
import time

import pytest

from tessera.backend.time_limit import time_limit


def test_what_does_not_end_is_ended():
    def stubborn():
        while True:
            with contextlib.suppress(Exception):
                time.sleep(0.001)

    began = time.perf_counter()
    with pytest.raises(TimeoutError, match="it took longer than 0.05 s"), time_limit(0.05):
        stubborn()
    assert time.perf_counter() - began < 5


def test_what_ends_in_time_is_left_alone():
    threads = threading.active_count()
    for _ in range(20):
        with time_limit(30):
            pass
    time.sleep(0.05)
    assert threading.active_count() <= threads + 1


def test_an_error_of_the_block_passes():
    with pytest.raises(KeyError, match="mine"), time_limit(30):
        raise KeyError("mine")


@pytest.mark.parametrize("number", range(10))
def test_nothing_arrives_behind_the_block(number):
    with contextlib.suppress(TimeoutError), time_limit(0.01):
        time.sleep(0.0098)  # about when the time is over
    end = time.perf_counter() + 0.02
    while time.perf_counter() < end:
        pass
