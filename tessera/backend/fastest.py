"""Which of several ways to compute the same is the fastest on this machine: measured once, and remembered."""

from __future__ import annotations

import functools
import math
import time
from collections.abc import Callable, Mapping

import torch

from tessera.program.remembered import Remembered, machine_name

ROUNDS = 7
_CLEARLY = 0.9  # of the usual way's time: what is faster by less stays in the noise of the next measurement
_KNOWN = Remembered("fastest.json")


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


def _measured(ways: Mapping[str, Callable[[], object]], usual: str) -> str:
    best = dict.fromkeys(ways, math.inf)
    for run in ways.values():
        run()
    for _ in range(ROUNDS):  # in turns, and the best of each: whatever else the machine does hits all of them
        for name, run in ways.items():
            began = time.perf_counter()
            run()
            best[name] = min(best[name], time.perf_counter() - began)
    first = min(best, key=best.__getitem__)
    return first if best[first] < _CLEARLY * best[usual] else usual


@functools.cache
def _machine(_threads: int) -> str:
    return machine_name(torch.device("cpu"))
