"""Workers that are processes.

They are started by a fork server: a small process with a single thread, which has imported torch and nothing else. A
fork of the training process would copy the locks of threads that do not exist in the copy (OpenMP, oneDNN, CUDA,
Arrow), which hangs sooner or later; a fresh interpreter for each would import torch anew in each.

Every worker has a pipe of its own, so that there is no lock that a killed worker could take with it, and the end of
the pipe is how either side learns that the other is gone. Task ``k`` goes to worker ``k mod n`` and answers are taken
in that order: the order of the data is that of the tasks, whatever ``n`` is.
"""

from __future__ import annotations

import itertools
import signal
import sys
import weakref
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from multiprocessing import get_context
from multiprocessing.process import BaseProcess
from typing import Any

import torch

from tessera.data.progress_board import COLLATING, READING, WAITING, look
from tessera.data.shared_memory import Segment, one_copy_each
from tessera.data.work import Result, Task, Work
from tessera.data.worker import Failure, Parcel, serve
from tessera.errors import SettingError, SourceLine, WorkerError

_GRACE_S = 0.5  # to end by itself
_LENT = 2  # results of each worker that may be used where the worker put them; of more, copies are used
_UNGUARDED = "Put the program's own code under `if __name__ == '__main__':`"
_AT_A_PROMPT = (
    "Put the functions and classes of a notebook or a prompt into a module and import them, or take workers=0 or "
    "worker_kind='thread'"
)
_PRELOADED = ["torch", "tessera.data.worker"]


class WorkerTraceback(Exception):
    """The traceback of an error in a worker, as text: the cause of the error that the main process raises."""

    def __str__(self) -> str:
        return f"\n\n{self.args[0]}"


class Processes:
    """``workers`` processes that do the same ``work``; they start with the first task and stay until ``close``.

    Args:
        ahead: tasks that each may be given before the answer of the first is taken.
    """

    def __init__(self, work: Work, workers: int, ahead: int) -> None:
        self._work, self._number, self._ahead = work, workers, ahead
        self._workers: list[_Worker] = []
        weakref.finalize(self, _end, self._workers)

    def __str__(self) -> str:
        return f"{self._number} process workers"

    def run(self, tasks: Callable[[], Iterator[Task]]) -> Iterator[Result]:
        """The results of ``tasks()``, in order.

        Raises:
            WorkerError: a worker died; all others have ended then.
            DataError: a sample could not be made; likewise.
        """
        if not self._workers:
            self._start()
        try:
            for number, worker in enumerate(self._workers):
                worker.begin(itertools.islice(tasks(), number, None, self._number))
            for worker, _ in zip(itertools.cycle(self._workers), tasks(), strict=False):
                yield worker.result()
        except GeneratorExit:  # somebody has seen enough; the workers wait for the next epoch
            raise
        except BaseException:
            self.close()
            raise
        finally:
            for worker in self._workers:
                worker.rest()

    def close(self) -> None:
        """End all workers."""
        _end(self._workers)
        self._workers.clear()

    def _start(self) -> None:
        context = get_context("forkserver")
        context.set_forkserver_preload(_PRELOADED)
        try:
            with one_copy_each():
                for number in range(self._number):
                    self._workers.append(_Worker(context, self._work, number, self._number, self._ahead))
        except BaseException:
            self.close()
            raise


class _Worker:
    """The main process's side of one worker."""

    def __init__(self, context: Any, work: Work, number: int, of: int, ahead: int) -> None:
        self._work, self._name, self._ahead = work, f"Worker {number} of {of}", ahead
        self._board, self._slots = Segment(), [Segment() for _ in range(ahead + _LENT)]
        self._free = list(range(len(self._slots)))
        self._board.bytes(24)
        self._connection, theirs = context.Pipe()
        self._tasks: Iterator[Task] = iter(())
        self._sent = self._stale = self._received = 0
        self._ready = False
        self._process: BaseProcess = context.Process(
            target=serve, args=(theirs, work, self._board, self._slots), daemon=True, name=f"tessera-data-{number}"
        )
        try:
            self._process.start()
        except OSError:  # no memory, no process: nothing that is wrong with the dataset
            raise
        except Exception as error:
            raise SettingError(
                f"The dataset cannot be sent to a worker process: {error}.",
                "Functions are defined at the top of a module, not inside another function and not as a lambda.",
                "Move them there; or write worker_kind='thread', or workers=0.",
                _suspect(work),
            ) from error
        finally:
            theirs.close()

    def begin(self, tasks: Iterator[Task]) -> None:
        """Forget what is still under way and start on ``tasks``."""
        self._tasks, self._stale = tasks, self._sent - self._received
        self._fill()

    def rest(self) -> None:
        """Be given nothing more; and let go of the tasks, whose iterator holds on to the loader."""
        self._tasks = iter(())

    def result(self) -> Result:
        """The next result."""
        while self._stale:
            self._receive()
            self._stale -= 1
            self._fill()
        answer = self._receive()
        self._fill()
        if isinstance(answer, Failure):
            raised = answer.kind(f"{self._name}: {answer.received}", answer.expected, answer.fix, answer.where)
            raise raised from WorkerTraceback(answer.trace)
        return answer

    def end(self) -> None:
        """Tell it to end: its pipe closes."""
        self._connection.close()

    def join(self) -> None:
        """Wait for the end, not for long."""
        self._process.join(_GRACE_S)
        for insist in (self._process.terminate, self._process.kill):
            if self._process.is_alive():
                insist()
                self._process.join(_GRACE_S)

    def _fill(self) -> None:
        while self._sent - self._received < self._ahead:
            task = next(self._tasks, None)
            if task is None:
                return
            try:
                self._connection.send((task, self._free[-1]))
            except ConnectionError:  # it is gone; the next answer says so
                return
            self._free.pop()
            self._sent += 1

    def _receive(self) -> Result | Failure:
        try:
            if not self._ready:
                self._ready = self._connection.recv()
            answer: Parcel | Failure = self._connection.recv()
        except (EOFError, ConnectionError) as error:
            raise self._died() from error
        self._received += 1
        if isinstance(answer, Failure):
            self._free.append(answer.slot)
            return answer
        answer.rest.value = answer.rebuild(self._leaves(answer))
        return answer.rest

    def _leaves(self, parcel: Parcel) -> list[Any]:
        """The arrays and tensors of a result. Their place is free for another when nobody uses them any more."""
        slot, release = self._slots[parcel.slot], partial(self._free.append, parcel.slot)
        lent = len(self._slots) - len(self._free) - (self._sent - self._received)
        if lent <= _LENT:
            return slot.read(parcel.likes, release)
        copies = [leaf.clone() if isinstance(leaf, torch.Tensor) else leaf.copy() for leaf in slot.read(parcel.likes)]
        release()
        return copies

    def _died(self) -> WorkerError:
        self._process.join(_GRACE_S)
        how = _how(self._process.exitcode)
        if not self._ready:
            return WorkerError(
                f"{self._name} {how} before it was ready.",
                "A worker process imports the main program again, and what it was sent.",
                f"{_AT_A_PROMPT if _is_prompt() else _UNGUARDED}; and look above for the worker's words.",
            )
        position, index, stage = look(self._board)
        place, where = _place(self._work, position, index, stage)
        return WorkerError(
            f"{self._name} {how} {place}.",
            "A worker lives until the loader is closed.",
            "Try that sample with workers=0; if memory ran out, take fewer workers or smaller batches.",
            where,
        )


def _end(workers: Sequence[_Worker]) -> None:
    for worker in workers:
        worker.end()
    for worker in workers:
        worker.join()


def _is_prompt() -> bool:
    """Whether there is no file from which a worker could import what this program has defined."""
    return not hasattr(sys.modules["__main__"], "__file__")


def _how(code: int | None) -> str:
    if code is None:
        return "closed its pipe"
    if code >= 0:
        return f"ended with exit code {code}"
    name = signal.Signals(-code).name
    return f"was killed by {name}" + (" (as happens when memory runs out)" if name == "SIGKILL" else "")


def _place(work: Work, position: int, index: int, stage: int) -> tuple[str, SourceLine | None]:
    if stage == WAITING:
        return "while it had nothing to do", None
    name = work.dataset.source.name(index)
    if stage == READING:
        return f"while it read samples from position {position:,} on, which is {name}", None
    if stage == COLLATING:
        return f"while it made a batch of the samples from position {position:,} on", None
    found = (*work.dataset.source.stages_of(index), *work.dataset.stages)[stage]
    return f"in {found.name} on {name} (position {position:,})", found.line


def _suspect(work: Work) -> SourceLine | None:
    """The first function that has no name in its module."""
    lines = (stage.line for stage in work.dataset.every_stage() if "<" in stage.name)
    return next(lines, None)
