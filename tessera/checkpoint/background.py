"""One job at a time beside the program, whose error is raised where the program looks next, and never lost."""

from __future__ import annotations

import logging
import threading
import weakref
from collections.abc import Callable
from dataclasses import dataclass

_log = logging.getLogger(__name__)


@dataclass
class _Job:
    """What the thread leaves for the program."""

    thread: threading.Thread | None = None
    error: BaseException | None = None


class Background:
    """Runs a job in a thread. The interpreter waits for it at its end; an error nobody asked for is then logged."""

    def __init__(self) -> None:
        self._job = _Job()
        weakref.finalize(self, _report, self._job)  # at the interpreter's end too, after its threads have ended

    def start(self, work: Callable[[], object]) -> None:
        """Wait for the job before, then begin this one.

        Raises:
            BaseException: the error of the job before; this one was not begun.
        """
        self.wait()
        job = self._job

        def run() -> None:
            try:
                work()
            except BaseException as error:  # noqa: BLE001 - whatever it is, it belongs to the program
                job.error = error

        job.thread = threading.Thread(target=run, name="tessera-checkpoint")
        job.thread.start()

    def check(self) -> None:
        """Go on if the job is still running or ended well.

        Raises:
            BaseException: the error it ended with, once.
        """
        if self._job.thread is not None and not self._job.thread.is_alive():
            self.wait()

    def wait(self) -> None:
        """Wait until the job has ended.

        Raises:
            BaseException: the error it ended with, once.
        """
        if self._job.thread is not None:
            self._job.thread.join()
            self._job.thread = None
        error, self._job.error = self._job.error, None
        if error is not None:
            raise error


def _report(job: _Job) -> None:
    if job.thread is not None:
        job.thread.join()
    if job.error is not None:
        _log.error("The last save failed, and nothing asked for it since: %s", job.error)
