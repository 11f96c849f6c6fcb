"""What one call costs here: the file's, the model's and the compiled model's, measured in turns."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import torch

from tessera.capture.compile import compile
from tessera.export.example import Example
from tessera.export.flat import FlatCall
from tessera.export.format import Runner

_ROUNDS = 7
_LEAST_S = 2e-3  # shorter calls are timed several at a time


def milliseconds(flat: FlatCall, run: Runner, example: Example) -> dict[str, float]:
    """The median time of a call with the example, in milliseconds, in turns so that a busy machine is busy for all."""
    compiled = compile(flat)
    calls: dict[str, Callable[[], object]] = {
        "file": lambda: run(example),
        "eager": lambda: flat(*example.tensors),
        "compiled": lambda: compiled(*example.tensors),
    }
    with torch.no_grad():
        times: dict[str, list[float]] = {name: [] for name in calls}
        repeats = {name: _repeats(call) for name, call in calls.items()}
        for _ in range(_ROUNDS):
            for name, call in calls.items():
                times[name].append(_seconds(call, repeats[name]) / repeats[name])
    return {name: 1e3 * statistics.median(each) for name, each in times.items()}


def _repeats(call: Callable[[], object]) -> int:
    for _ in range(2):  # the first one compiles
        call()
    return max(1, int(_LEAST_S / max(1e-7, _seconds(call, 1))))


def _seconds(call: Callable[[], object], times: int) -> float:
    began = time.perf_counter()
    for _ in range(times):
        call()
    return time.perf_counter() - began
