"""Which of several ways to compute the same is the fastest on this machine: measured once, and remembered."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Mapping

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

    It does for want of memory, and where the machine is so busy that the best two runs of a way differ.

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
    """Seconds of each run; ``patience`` is how many of them may go into more rounds until the best ones agree."""
    times: dict[str, list[float]] = {way: [] for way in ways}
    for run in ways.values():
        run()
    end = time.perf_counter() + patience
    while len(next(iter(times.values()))) < ROUNDS or (not _settled(times) and time.perf_counter() < end):
        for way, run in ways.items():  # in turns: whatever else the machine does hits all of them
            _wait_for(device)
            began = time.perf_counter()
            run()
            _wait_for(device)
            times[way].append(time.perf_counter() - began)
    return times


def _settled(times: Mapping[str, list[float]]) -> bool:
    """Whether the best two runs of each way agree; the best is then what it takes when nothing else runs."""
    return all(second <= _AGREE * best for best, second, *_ in map(sorted, times.values()))


def _wait_for(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


@functools.cache
def _machine(_threads: int) -> str:
    return machine_name(torch.device("cpu"))
