"""Which of several ways to compute the same is the fastest on this machine: measured once, and remembered."""

from __future__ import annotations

import functools
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import torch

from tessera.program.remembered import Remembered, machine_name

ROUNDS = 7
_CLEARLY = 0.9  # of the usual way's time: what is faster by less stays in the noise of the next measurement
_AGREE = 1.05  # the second best run over the best
_PATIENCE = 0.5  # seconds
_KNOWN = Remembered("fastest.json")
_SECONDS = Remembered("seconds.json")


def fastest(problem: str, ways: Mapping[str, Callable[[], object]], usual: str) -> str:
    """The name of the way to take.

    Args:
        problem: what is computed: shapes, layouts, dtypes.
        ways: do it, and may be called again and again.
        usual: the way that is taken unless another is clearly faster.
    """
    name = f"{problem}; {_machine(torch.get_num_threads())}"
    known = _KNOWN.get(name)
    if known not in ways:
        known = _measured(ways, usual)
        _KNOWN.put(name, known)
    return str(known)


def seconds_of(problem: str, ways: Mapping[str, Callable[[], object]], device: torch.device) -> dict[str, float] | None:
    """What each way takes, measured once on this machine; None where that fails.

    It does for want of memory, and where others keep the machine busy: rounds in which more wants to run than there
    are cores do not count, and the best two runs of a way have to agree.

    Args:
        problem, ways: as for ``fastest``.
        device: that the ways run on; a GPU is waited for.
    """
    name = f"{problem}; {machine_name(device)}"
    known = _SECONDS.get(name)
    if isinstance(known, dict) and known.keys() == ways.keys() and all(isinstance(s, float) for s in known.values()):
        return known
    try:
        runs = _timed(ways, device, _PATIENCE)
    except RuntimeError:
        return None
    if not _settled(runs):
        return None
    found = {way: min(times) for way, times in runs.items()}
    _SECONDS.put(name, found)
    return found


def _measured(ways: Mapping[str, Callable[[], object]], usual: str) -> str:
    best = {way: min(times) for way, times in _timed(ways, torch.device("cpu")).items()}
    first = min(best, key=best.__getitem__)
    return first if best[first] < _CLEARLY * best[usual] else usual


def _timed(
    ways: Mapping[str, Callable[[], object]], device: torch.device, patience: float = 0.0
) -> dict[str, list[float]]:
    """Seconds of each run; ``patience`` is how many of them may go into more rounds until the best ones agree.

    With patience, only runs count during which nobody else had to wait for a core.
    """
    times: dict[str, list[float]] = {way: [] for way in ways}
    for run in ways.values():
        run()
    end = time.perf_counter() + patience
    rounds = 0
    while rounds < ROUNDS or (not _settled(times) and time.perf_counter() < end):
        rounds += 1
        for way, run in ways.items():  # in turns: whatever else the machine does hits all of them
            _wait_for(device)
            began = time.perf_counter()
            run()
            _wait_for(device)
            seconds = time.perf_counter() - began
            if not (patience and _is_crowded()):
                times[way].append(seconds)
    return times


def _settled(times: Mapping[str, list[float]]) -> bool:
    """Whether the best two runs of each way agree; the best is then what it takes when nothing else runs."""
    best = [sorted(runs)[:2] for runs in times.values()]
    return all(len(two) == 2 and two[1] <= _AGREE * two[0] for two in best)


def _is_crowded() -> bool:
    """Whether more threads want to run at this moment than there are cores, where the system tells."""
    try:
        running = int(Path("/proc/loadavg").read_text(encoding="utf-8").split()[3].split("/")[0])
    except (OSError, IndexError, ValueError):
        return False
    return running > (os.cpu_count() or 1)


def _wait_for(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


@functools.cache
def _machine(_threads: int) -> str:
    return machine_name(torch.device("cpu"))
