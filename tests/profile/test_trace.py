from __future__ import annotations

import json

import pytest
import torch

from tessera.backend.inductor import compile_program
from tessera.backend.timed_wrapper import TimedWrapper
from tessera.errors import SettingError
from tessera.profile.eager_operations import EagerOperations
from tessera.profile.trace import save_trace
from tests.backend.hand_made import program

A = torch.rand(32, 32)


def timed() -> TimedWrapper:
    executable = compile_program(program(lambda a: (torch.relu(torch.mm(a, a)) + 1,), A))
    found = TimedWrapper(executable)
    found.start()
    executable.run([A])
    executable.run([A])
    found.stop()
    return found


def test_spans_lie_inside_of_their_program_and_start_at_zero(tmp_path):
    with EagerOperations() as eager:
        A.exp()
    save_trace(tmp_path / "trace.json", [timed()], eager)
    events = json.loads((tmp_path / "trace.json").read_text())["traceEvents"]
    spans = [event for event in events if event["ph"] == "X"]
    assert min(event["ts"] for event in events if "ts" in event) == 0
    programs = [span for span in spans if span["cat"] == "program"]
    inside = [span for span in spans if span["cat"] in ("kernel", "library")]
    assert len(programs) == 2
    assert len(inside) == 4
    for span in inside:
        assert any(
            p["ts"] <= span["ts"] and span["ts"] + span["dur"] <= p["ts"] + p["dur"] + 0.01 and p["tid"] == span["tid"]
            for p in programs
        )
    assert [span["name"] for span in spans if span["cat"] == "eager"] == ["aten.exp"]
    assert {event["args"]["bytes"] for event in events if event["ph"] == "C"} == {4 * 32 * 32}
    lanes = {event["args"]["name"] for event in events if event["ph"] == "M"}
    assert lanes == {"eager", "hand-made"}


def test_there_may_be_nothing(tmp_path):
    save_trace(tmp_path / "trace.json", [], None)
    assert json.loads((tmp_path / "trace.json").read_text())["traceEvents"] == []


def test_a_place_that_cannot_be_written(tmp_path):
    with pytest.raises(SettingError, match="cannot be written"):
        save_trace(tmp_path / "none" / "trace.json", [], None)
