"""How long a call takes, as a number that compares and prints well."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Self

import torch

from tessera.capture.step_kept import step_kept
from tessera.capture.train_step import TrainStep
from tessera.train.modes import mode

_LEAST_RUN_S = 5e-5  # shorter calls are timed several at a time: the clock itself takes about 0.1 microseconds
_LEAST_RUNS = 5
_PATIENCE = 10  # times the time that was asked for


class Timing(float):
    """The median time of one call in milliseconds.

    Attributes:
        min: of the fastest run, milliseconds a call.
        max: of the slowest run, milliseconds a call.
        runs: how many runs were measured.
    """

    min: float
    max: float
    runs: int

    @classmethod
    def of(cls, milliseconds: list[float]) -> Self:
        """The timing of several runs."""
        timing = cls(statistics.median(milliseconds))
        timing.min, timing.max, timing.runs = min(milliseconds), max(milliseconds), len(milliseconds)
        return timing

    def __str__(self) -> str:
        return f"{float(self):.4g} ms (median of {self.runs} runs, {self.min:.4g} to {self.max:.4g})"

    __repr__ = __str__


def benchmark(
    call: Callable[..., Any], *args: object, warmup: int = 3, min_time_s: float = 0.2, **named: object
) -> Timing:
    """Time ``call(*args, **named)``: the median over as many runs as fit into ``min_time_s``.

    There are five runs at least, fewer only where five would take more than ten times as long.

    A ``torch.nn.Module`` is timed as it serves: in eval mode and without gradients; its modes are put back after. A
    training step of ``train_step`` trains, and weights, optimizer state and the random stream are put back after.
    Anything else is called as it is, whatever it changes. Devices are waited for.

    Args:
        call: a module or any callable.
        warmup: calls before the measurement, at most; the first ones compile. One that takes longer than ``min_time_s``
            is the last, unless it is the first.
        min_time_s: seconds to measure for.

    Returns:
        Milliseconds a call, a ``float``: ``assert tessera.benchmark(model, x) < 5``.
    """
    with as_measured(call):
        for number in range(warmup):
            if _seconds(call, args, named, 1) > min_time_s and number:
                break
        calls = max(1, round(_LEAST_RUN_S / max(1e-7, _seconds(call, args, named, 1))))
        runs: list[float] = []
        began = time.perf_counter()
        while (passed := time.perf_counter() - began) < min_time_s or (
            len(runs) < _LEAST_RUNS and passed < _PATIENCE * min_time_s
        ):
            runs.append(_seconds(call, args, named, calls) * 1000 / calls)
    return Timing.of(runs)


@contextmanager
def as_measured(call: Callable[..., Any]) -> Iterator[None]:
    """A module in eval mode without gradients, a training step without consequences, anything else as it is."""
    with ExitStack() as stack:
        if isinstance(call, torch.nn.Module):
            stack.enter_context(mode(call, training=False))
            stack.enter_context(torch.no_grad())
        elif isinstance(call, TrainStep):
            stack.enter_context(step_kept(call))
        yield


def _seconds(call: Callable[..., Any], args: tuple[object, ...], named: dict[str, object], calls: int) -> float:
    wait = torch.accelerator.synchronize if torch.accelerator.is_available() else _nothing
    wait()
    started = time.perf_counter()
    for _ in range(calls):
        call(*args, **named)
    wait()
    return time.perf_counter() - started


def _nothing() -> None:
    """What there is to wait for on a CPU."""
