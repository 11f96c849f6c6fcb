"""Processes that read files through a door and may die of it."""

from __future__ import annotations

import multiprocessing
import resource
import traceback
import warnings
from pathlib import Path

from tessera.export import apart
from tests.export.hostile.doors import DOORS, Door

REFUSED, FAILED = "refused", "failed"
PATIENCE_S, ENDLESS_S = 60.0, 5.0  # for a reader; for a runtime apart, which a loop without end may keep
MOST_MEMORY = 4 << 30  # of a reader and of the runtimes that it starts; a changed file may ask for all there is
GIGABYTE_KB = 1 << 20


class Reader:
    """One process for one file after the other, as long as it lives."""

    def __init__(self) -> None:
        self._here, there = multiprocessing.Pipe()
        context = multiprocessing.get_context("spawn")
        self._process = context.Process(target=_read_all, args=(there,), daemon=True)
        self._process.start()
        there.close()

    def read(self, name: str, good: Path, folder: Path) -> tuple[str, str]:
        """How it ended, and why.

        Args:
            name: of the door.
            good: where the files lie as they were written.
            folder: where changed ones lie.
        """
        try:
            self._here.send((name, good, folder))
            if not (self._here.poll(2 * PATIENCE_S) and self._here.recv() == "ready"):
                raise RuntimeError(f"{name}: the good files are not read")
            if not self._here.poll(PATIENCE_S):
                return FAILED, f"it hung for {PATIENCE_S:g} s"
            return self._here.recv()
        except (EOFError, OSError):
            self._process.join()
            return FAILED, f"the process died: {self._process.exitcode}"

    def end(self) -> None:
        self._here.close()
        self._process.join(5)
        self._process.kill()
        self._process.join()


def _read_all(connection) -> None:
    warnings.simplefilter("ignore")
    resource.setrlimit(resource.RLIMIT_DATA, (MOST_MEMORY, MOST_MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    warm: set[str] = set()
    while True:
        try:
            name, good, folder = connection.recv()
        except EOFError:
            return
        door = DOORS[name]
        if name not in warm:  # imports are neither time nor memory that a changed file asked for
            apart.PATIENCE_S = PATIENCE_S
            door.read(good)
            warm.add(name)
        apart.PATIENCE_S = ENDLESS_S
        connection.send("ready")
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        kind, why = _outcome(door, folder)
        if "it gave no answer" in why:  # its runtime was ended, and the next file is not to wait for its imports
            warm.discard(name)
        taken = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        connection.send((FAILED, f"it took {taken >> 10} MB") if taken > GIGABYTE_KB else (kind, why))


def _outcome(door: Door, folder: Path) -> tuple[str, str]:
    from tessera.errors import TesseraError

    try:
        return door.read(folder), ""
    except TesseraError as error:
        sentences = (error.received, error.expected, error.fix)
        if not all(each.strip() and each.rstrip().endswith((".", "?", '"', ")")) for each in sentences):
            return FAILED, f"no three sentences: {sentences}"
        return REFUSED, str(error)
    except BaseException as error:  # noqa: BLE001 - whatever it is, a user would see it
        last = traceback.extract_tb(error.__traceback__)[-1]
        return FAILED, f"{type(error).__name__}: {str(error)[:200]} at {Path(last.filename).name}:{last.lineno}"
