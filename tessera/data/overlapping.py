"""Work that goes on while the step runs, where that pays."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from time import perf_counter

from tessera.data.threads import Inline, Threads
from tessera.data.work import Result, Task, Work

_LEAST_S = 0.4e-3  # several times what it costs to hand a result over and to wait for each other's interpreter lock
_SURE, _USUAL = 3, 32  # results: all of the first ones took long; a mean that one slow result does not make

_CHOSEN = {
    True: ", as no Python runs for each sample",
    False: " at work, as batches are cut faster than handed over",
}


class Overlapping:
    """Results are made when they are asked for, until that is seen to take long; from then on by threads, ahead.

    To hand over a batch between threads costs more than to cut a small one from columns. A result is the same whoever
    makes it: the clock decides nothing else.

    Args:
        work: what is done, without Python of the user's in it.
        workers, ahead: of ``Threads``.
    """

    def __init__(self, work: Work, workers: int, ahead: int) -> None:
        self._inline, self._threads = Inline(work), Threads(work, workers, ahead)
        self._made, self._total_s, self._least_s = 0, 0.0, math.inf

    def __str__(self) -> str:
        return str(self._threads if self._is_slow else self._inline) + _CHOSEN[self._is_slow]

    def run(self, tasks: Callable[[], Iterator[Task]]) -> Iterator[Result]:
        """The results of ``tasks()``, in order."""
        todo = tasks()
        results = self._inline.run(lambda: todo)
        while not self._is_slow:
            asked = perf_counter()
            result = next(results, None)
            if result is None:
                return
            self._note(perf_counter() - asked)
            yield result
        yield from self._threads.run(lambda: todo)

    def close(self) -> None:
        """Begin nothing new and wait for what has begun."""
        self._threads.close()

    @property
    def _is_slow(self) -> bool:
        always = self._made >= _SURE and self._least_s > _LEAST_S
        return always or (self._made >= _USUAL and self._total_s > self._made * _LEAST_S)

    def _note(self, took_s: float) -> None:
        self._least_s = min(self._least_s, took_s)
        if self._made:  # the first one also opens files
            self._total_s += took_s
        self._made += 1
