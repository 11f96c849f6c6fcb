"""A profile as a trace in Chrome's format, which Perfetto (ui.perfetto.dev) and chrome://tracing show."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from tessera.backend.timed_wrapper import TimedWrapper
from tessera.errors import SettingError
from tessera.profile.eager_operations import EagerOperations
from tessera.program import CallRecord, live_bytes

_PROCESS = 1
_EAGER = 0  # the lane of what runs eagerly; compiled Programs have those from 1
_MICRO = 1e6


def save_trace(path: str | Path, programs: Iterable[TimedWrapper], eager: EagerOperations | None) -> None:
    """Write the trace. Times are in microseconds from the first event; memory is a counter beside each Program."""
    events = [*_program_events(programs), *(_eager_events(eager) if eager else ())]
    start = min((event["ts"] for event in events if "ts" in event), default=0.0)
    for event in events:
        if "ts" in event:
            event["ts"] = round(event["ts"] - start, 3)
    try:
        Path(path).write_text(json.dumps({"traceEvents": events, "displayTimeUnit": "ms"}), encoding="utf-8")
    except OSError as error:
        raise SettingError(
            f"{path} cannot be written: {error.strerror}.",
            "A trace is a file in a folder that is there.",
            'Write for example save_trace("trace.json").',
        ) from error


def _program_events(programs: Iterable[TimedWrapper]) -> Iterator[dict[str, Any]]:
    for lane, timed in enumerate(programs, 1):
        made = timed.executable.compilation
        yield _lane(lane, made.program)
        live = live_bytes(made.memory, len(made.calls))
        for run in timed.runs:
            yield _span(lane, made.program, "program", run.begin, run.end, {})
            for number, (call, (begin, end)) in enumerate(zip(made.calls, run.events, strict=False)):
                yield _span(lane, call.name, call.kind, begin, end, _details(call))
                yield {
                    "ph": "C",
                    "pid": _PROCESS,
                    "name": f"memory of {made.program}",
                    "ts": begin * _MICRO,
                    "args": {"bytes": live[number]},
                }


def _eager_events(eager: EagerOperations) -> Iterator[dict[str, Any]]:
    yield _lane(_EAGER, "eager")
    for name, where, begin, end in eager.events:
        yield _span(_EAGER, name, "eager", begin, end, {"line": str(where)} if where else {})


def _details(call: CallRecord) -> dict[str, Any]:
    lines = [f"{part.share:.0%} {part.where or part.phase}" for part in call.parts]
    return {"lines": lines, "operations": call.operations, "bytes": call.num_bytes, "flops": call.flops}


def _lane(lane: int, name: str) -> dict[str, Any]:
    return {"ph": "M", "pid": _PROCESS, "tid": lane, "name": "thread_name", "args": {"name": name}}


def _span(lane: int, name: str, kind: str, begin: float, end: float, details: dict[str, Any]) -> dict[str, Any]:
    return {
        "ph": "X",
        "pid": _PROCESS,
        "tid": lane,
        "name": name,
        "cat": kind,
        "ts": begin * _MICRO,
        "dur": round((end - begin) * _MICRO, 3),
        "args": details,
    }
