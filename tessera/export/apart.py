"""Runs a file in a process apart: a runtime that a damaged file brings down takes nothing of the user's with it.

The other process holds the runtime and makes a copy of itself for every file (``fork``), so that only the first file
waits for imports. What goes between the two is a length and then a byte that says what follows: tensors as safetensors,
or a text. No message holds code.
"""

from __future__ import annotations

import atexit
import contextlib
import importlib
import os
import select
import signal
import subprocess
import sys
import tempfile
import weakref
from collections.abc import Callable
from io import FileIO
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load, save

from tessera.errors import ExportError
from tessera.export.example import Example
from tessera.export.format import Runner

_TENSORS, _TEXT, _ERROR = b"\0", b"\1", b"\2"
_LONGEST = 1 << 40
_MOST_WORDS = 1 << 16
PATIENCE_S = 600.0  # for one answer; a damaged file may be an endless loop
_started: list[_Process] = []


class _Process:
    """The other process: it loads files with what ``module.function()`` gives."""

    def __init__(self, module: str, function: str) -> None:
        self.serves, self.busy = (module, function), False
        self._words = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the process
        path = os.pathsep.join(entry or "." for entry in sys.path)
        self._process = subprocess.Popen(  # noqa: S603 - this interpreter, and names from this package
            [sys.executable, "-m", "tessera.export.apart", module, function],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._words,
            env={**os.environ, "PYTHONPATH": path},
            bufsize=0,
            start_new_session=True,  # its copies end with it; and an interrupt of the user's is not theirs
        )

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def ask(self, kind: bytes, content: bytes) -> bytes:
        """What it answers.

        Raises:
            ExportError: it failed, or died.
        """
        before = os.fstat(self._words.fileno()).st_size
        try:
            _write(self._process.stdin, kind, content)  # type: ignore[arg-type]
            if _answers_within(self._process.stdout, PATIENCE_S):
                found, answer = _read(self._process.stdout)  # type: ignore[arg-type]
            else:
                self.end()
                found, answer = _ERROR, f"it gave no answer in {PATIENCE_S:g} seconds".encode()
        except (OSError, EOFError):
            found, answer = _ERROR, _ended(self.end()).encode()
        if found == _ERROR:
            raise ExportError(
                f"The runtime did not take this: {answer.decode(errors='replace')}{self._complaints(before)}.",
                "A file is loaded by its format's own runtime, with the inputs that it was exported for.",
                "Export the file again if it is damaged, and check the inputs' shapes and dtypes.",
            )
        return answer

    def _complaints(self, start: int) -> str:
        """What a runtime printed of what failed since ``start``: often it says there what its error does not."""
        if self._words.closed:
            return ""
        self._words.seek(start)
        lines = self._words.read(_MOST_WORDS).decode(errors="replace").splitlines()
        said = [line.strip().rstrip(".") for line in lines if " failed" in line or "Missing " in line]
        return f" ({'; '.join(said[:2])})" if said else ""

    def end(self) -> int:
        """End it and its copies; its exit status."""
        if self in _started:
            _started.remove(self)
        with self._process:  # closes the pipes, then waits
            if hasattr(os, "killpg"):
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(self._process.pid, signal.SIGKILL)
            else:
                self._process.kill()
        self._words.close()
        return self._process.returncode


def run_apart(module: str, function: str, path: Path) -> Runner:
    """What ``module.function()(path)`` gives, in a process apart; ``function`` imports the runtime.

    Raises:
        ExportError: the file cannot be loaded, whatever the runtime does with it; so does each call that fails.
    """
    process = _idle(module, function)
    process.busy = True
    runner = _Apart(process)
    weakref.finalize(runner, _give_back, process)
    process.ask(_TEXT, os.fsencode(path.absolute()))
    return runner


def _idle(module: str, function: str) -> _Process:
    for process in [each for each in _started if each.serves == (module, function) and not each.busy]:
        if process.alive:
            return process
        process.end()
    _started.append(_Process(module, function))
    return _started[-1]


class _Apart:
    def __init__(self, process: _Process) -> None:
        self._process = process

    def __call__(self, example: Example) -> list[torch.Tensor]:
        answers = load(self._process.ask(_TENSORS, _packed(example.tensors)))
        return [answers[str(at)] for at in range(len(answers))]


def _give_back(process: _Process) -> None:
    """A process whose file is of no more use takes another."""
    if process in _started:
        with contextlib.suppress(ExportError):
            process.ask(_TEXT, b"")
            process.busy = False


@atexit.register
def _end_all() -> None:
    while _started:
        _started[-1].end()


def _packed(tensors: tuple[torch.Tensor, ...] | list[torch.Tensor]) -> bytes:
    return save({str(at): tensor.detach().cpu().contiguous().clone() for at, tensor in enumerate(tensors)})


def _write(stream: FileIO, kind: bytes, content: bytes) -> None:
    data = memoryview(len(content).to_bytes(8, "little") + kind + content)
    while data:
        data = data[stream.write(data) :]


def _read(stream: FileIO) -> tuple[bytes, bytes]:
    length = int.from_bytes(_exactly(stream, 8), "little")
    if length > _LONGEST:
        raise EOFError
    kind = _exactly(stream, 1)
    return kind, _exactly(stream, length)


def _answers_within(stream: Any, seconds: float) -> bool:
    if sys.platform == "win32":  # whose pipes cannot be waited for so
        return True
    return bool(select.select([stream], [], [], seconds)[0])


def _exactly(stream: FileIO, count: int) -> bytes:
    parts = []
    while count:
        part = stream.read(min(count, 1 << 24))
        if not part:
            raise EOFError
        parts.append(part)
        count -= len(part)
    return b"".join(parts)


def _ended(status: int) -> str:
    if status < 0:
        return f"it was ended by {signal.Signals(-status).name}"
    return f"it ended with status {status}"


# The other process.


def _main(module: str, function: str) -> None:
    asked, answers = FileIO(os.dup(0)), FileIO(os.dup(1), "w")
    os.dup2(2, 1)  # what a runtime prints is no answer
    load_file = getattr(importlib.import_module(module), function)()
    while True:
        try:
            _, path = _read(asked)
        except EOFError:
            return
        if not path:  # the end of a file that was never loaded, or died
            _write(answers, _TEXT, b"")
            continue
        if not hasattr(os, "fork"):
            _serve(load_file, path, asked, answers)
            return
        if (copy := os.fork()) == 0:
            status = 1
            try:
                _limit_memory()
                _serve(load_file, path, asked, answers)
                status = 0
            finally:
                os._exit(status)  # what Python does at its end is for the process that was copied
        status = os.waitstatus_to_exitcode(os.waitpid(copy, 0)[1])
        if status:
            _write(answers, _ERROR, _ended(status).encode())


def _limit_memory() -> None:
    """A damaged file that asks for all memory gets an error, and the machine keeps its other processes."""
    import resource

    most, hardest = (
        os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        resource.getrlimit(resource.RLIMIT_DATA)[1],
    )
    if hardest == resource.RLIM_INFINITY or most < hardest:  # else the user's own limit is the narrower one
        resource.setrlimit(resource.RLIMIT_DATA, (most, hardest))


def _serve(load_file: Callable[[Path], Runner], path: bytes, asked: FileIO, answers: FileIO) -> None:
    """Answers for one file until it is told that the file is of no more use."""
    try:
        run = load_file(Path(os.fsdecode(path)))
    except Exception as error:  # noqa: BLE001 - a runtime may raise anything
        _write(answers, _ERROR, _first_line(error))
        return
    _write(answers, _TEXT, b"")
    while True:
        try:
            kind, content = _read(asked)
        except EOFError:
            return
        if kind == _TEXT:
            _write(answers, _TEXT, b"")
            return
        try:
            tensors = load(content)
            example = Example(tuple(tensors[str(at)] for at in range(len(tensors))), (), ())
            answer = _packed(run(example))
        except Exception as error:  # noqa: BLE001 - a runtime may raise anything
            _write(answers, _ERROR, _first_line(error))
        else:
            _write(answers, _TENSORS, answer)


def _first_line(error: Exception) -> bytes:
    return (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".").encode()


if __name__ == "__main__":
    _main(*sys.argv[1:])
