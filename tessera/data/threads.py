"""Workers that are threads, and no workers at all."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

from tessera.data.progress_board import ProgressBoard
from tessera.data.work import Result, Task, Work


class Inline:
    """The work is done when its result is asked for."""

    def __init__(self, work: Work) -> None:
        self._work = work

    def __str__(self) -> str:
        return "no workers"

    def run(self, tasks: Callable[[], Iterator[Task]]) -> Iterator[Result]:
        """The results of ``tasks()``, in order."""
        board = ProgressBoard()
        return (self._work.run(task, board) for task in tasks())

    def close(self) -> None:
        """Nothing is open."""


class Threads:
    """``workers`` threads that do the same ``work``: for functions that let other threads run, as reading files does.

    Args:
        ahead: tasks for each thread that are begun before the result of the first is taken.
    """

    def __init__(self, work: Work, workers: int, ahead: int) -> None:
        self._work, self._workers, self._ahead = work, workers, workers * ahead
        self._executor = start_threads(workers)

    def __str__(self) -> str:
        return f"{self._workers} thread workers"

    def run(self, tasks: Callable[[], Iterator[Task]]) -> Iterator[Result]:
        """The results of ``tasks()``, in order."""
        waiting: deque[Future[Result]] = deque()
        try:
            for task in tasks():
                waiting.append(self._executor.submit(self._work.run, task, ProgressBoard()))
                if len(waiting) == self._ahead:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()

    def close(self) -> None:
        """Begin nothing new and wait for what has begun."""
        self._executor.shutdown(cancel_futures=True)
        self._executor = start_threads(self._workers)


def start_threads(workers: int) -> ThreadPoolExecutor:
    """``workers`` threads; each starts when there is something to do for it."""
    return ThreadPoolExecutor(workers, "tessera-data")
