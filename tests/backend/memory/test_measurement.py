import sys
import time

import pytest
import torch

from tessera.backend.memory.measurement import measured

MiB = 1 << 20
CPU = torch.device("cpu")
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="what a process holds is read from /proc")


def test_what_a_call_takes_for_a_while_is_measured():
    def call():
        held = torch.ones(64 * MiB, dtype=torch.uint8)
        time.sleep(0.1)
        return int(held[5])

    result, peak = measured(call, CPU)
    assert result == 1
    assert 60 * MiB < peak < 90 * MiB


def test_what_was_there_before_does_not_count():
    held = torch.ones(64 * MiB, dtype=torch.uint8)
    result, peak = measured(lambda: int(held[5]), CPU)
    assert result == 1
    assert peak < 16 * MiB


def test_where_nobody_knows_it_is_none():
    assert measured(lambda: 3, torch.device("meta")) == (3, None)


def test_an_error_is_passed_on():
    with pytest.raises(ZeroDivisionError):
        measured(lambda: 1 // 0, CPU)
