from __future__ import annotations

import pytest

from tessera.errors import SourceLine
from tessera.profile.device_peaks import Peaks
from tessera.profile.eager_operations import EagerOperation
from tessera.profile.line_costs import line_costs
from tessera.program import CallRecord, Part

ONE, TWO = SourceLine("/a/net.py", 1, "y = f(x)"), SourceLine("/a/net.py", 2, "z = g(y)")
PEAKS = Peaks("x", {"float32": 1e9}, 1e9)


def test_a_fused_kernel_is_shared_out():
    parts = [Part(ONE, "forward", 0.75, ["aten.exp"]), Part(TWO, "forward", 0.25, ["aten.neg"])]
    call = CallRecord("fused", "kernel", 1_000_000, 4_000_000, "float32", parts)
    first, second = line_costs([(call, 8.0)], [], PEAKS)
    assert (first.where, first.milliseconds, first.num_bytes, first.flops) == (ONE, 6.0, 750_000, 3_000_000)
    assert (second.where, second.milliseconds) == (TWO, 2.0)
    assert first.roofline == pytest.approx(0.5)  # 4 ms of arithmetic in 8
    assert first.calls == ["fused"]
    assert first.place == "net.py:1"


def test_phases_of_a_line_are_told_apart_and_added():
    forward = CallRecord("mm", "library", parts=[Part(ONE, "forward", 1.0, ["aten.mm"])])
    backward = CallRecord("mm_2", "library", parts=[Part(ONE, "backward", 1.0, ["aten.mm"])])
    (line,) = line_costs([(forward, 1.0), (backward, 2.0)], [], PEAKS)
    assert line.milliseconds == 3.0
    assert line.phases == {"forward": 1.0, "backward": 2.0}
    assert line.calls == ["mm_2", "mm"]
    assert line.roofline is None  # nothing is known of bytes and FLOPs


def test_what_has_no_line_has_a_name():
    update = CallRecord("update_many", "kernel", parts=[Part(None, "update", 1.0, ["x"])])
    unknown = CallRecord("strange", "library")
    found = line_costs([(update, 3.0), (unknown, 1.0)], [], PEAKS)
    assert [line.place for line in found] == ["(update)", "(no line)"]


def test_eager_operations_count_as_often_as_one_call_has_them():
    one = EagerOperation("aten.mm", ONE, "", calls=4, seconds=0.008, num_bytes=400, flops=4000, dtype="float32")
    (line,) = line_costs([], [(one, 0.25)], PEAKS)
    assert (line.milliseconds, line.num_bytes, line.flops) == (2.0, 100, 1000)
