"""One way to do some work, in a process of its own: its time, and its peak memory less what the imports alone take."""

from __future__ import annotations

import importlib
import multiprocessing
import re
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path

import torch

from benchmarks.measure import Absent, Make, Timing, in_turns
from benchmarks.plan import Plan, silent
from benchmarks.row import Row

_LONGEST_S = 900.0


@dataclass(frozen=True)
class Alone:
    """What was measured: the time, and bytes at the peak, on the device that computes."""

    timing: Timing
    peak: int


def alone(make: Make, plan: Plan, *, imports: Sequence[str], rounds: int, units: int = 1) -> Alone | Absent:
    """Measure ``make`` in a new process.

    Args:
        make: what can be sent there: a function of a module, or a ``partial`` of one.
        imports: modules that the work needs anyhow; memory is counted from behind them.
        rounds: repetitions that count; ``plan`` may lower it.
        units: how many units of work, such as steps, a repetition does.
    """
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    work = partial(in_turns, {"": make}, replace(plan, say=silent), rounds=rounds, units=units)
    process = context.Process(target=_child, args=(theirs, work, tuple(imports), plan.device), daemon=False)
    process.start()
    theirs.close()
    try:
        found = ours.recv() if ours.poll(min(plan.left_s, _LONGEST_S)) else Absent("out of time")
    except EOFError:
        process.join()
        found = Absent(f"its process ended with {process.exitcode}")
    process.kill()
    process.join()
    return found


def smaller(work: str, peer: str, ours: Alone | Absent, theirs: Alone | Absent, *, most: float | None) -> Row:
    """The ratio of two peaks, Tessera's / the peer's, which is to be at most ``most``."""
    target = "" if most is None else f"<= {most:g}x"
    if isinstance(ours, Absent):
        return Row(work, peer, ours.reason, _mebibytes(theirs), target=target, met=False if target else None)
    if isinstance(theirs, Absent):
        return Row(work, peer, _mebibytes(ours), theirs.reason, target=target)
    ratio = ours.peak / theirs.peak
    return Row(
        work,
        peer,
        _mebibytes(ours),
        _mebibytes(theirs),
        f"{ratio:.2f}x",
        target,
        None if most is None else ratio <= most,
    )


def _mebibytes(found: Alone | Absent) -> str:
    return found.reason if isinstance(found, Absent) else f"{found.peak / 2**20:,.0f} MiB"


def _child(
    answer: Connection, work: partial[dict[str, Timing | Absent]], imports: Sequence[str], on: torch.device
) -> None:
    for name in imports:
        try:
            importlib.import_module(name)
        except ModuleNotFoundError:  # the way itself says what is missing
            break
    before = resident("VmRSS")
    (timing,) = work().values()
    if isinstance(timing, Absent):
        answer.send(timing)
    else:
        answer.send(Alone(timing, _on_gpu(on) if on.type == "cuda" else resident("VmHWM") - before))
    answer.close()
    time.sleep(_LONGEST_S)  # until the parent has read it and ends this: compile workers need not be waited for


def resident(which: str) -> int:
    """Bytes of this process now (VmRSS) or at its peak (VmHWM); what a parent had before ``exec`` is not in it."""
    found = re.search(rf"{which}:\s+(\d+) kB", Path("/proc/self/status").read_text(encoding="ascii"))
    return int(found[1]) << 10 if found else 0


def _on_gpu(device: torch.device) -> int:
    if "jax" in sys.modules:
        import jax

        return int(jax.local_devices()[0].memory_stats()["peak_bytes_in_use"])
    return torch.cuda.max_memory_allocated(device)
