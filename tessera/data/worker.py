"""What runs in a worker process."""

from __future__ import annotations

import signal
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.reduction import ForkingPickler
from typing import Any

import numpy as np
import torch

from tessera.data.callables import line_of_error
from tessera.data.progress_board import ProgressBoard
from tessera.data.shared_memory import Like, Segment
from tessera.data.structure import Rebuild, leaves_of
from tessera.data.work import Result, Task, Work
from tessera.errors import DataError, SourceLine, TesseraError


@dataclass
class Parcel:
    """A result on its way: its arrays and tensors are in shared memory, ``likes`` says which."""

    slot: int
    likes: list[Like]
    rebuild: Rebuild
    rest: Result


@dataclass
class Failure:
    """An error on its way, in words: the error itself may hold what cannot be sent."""

    slot: int
    kind: type[TesseraError]
    received: str
    expected: str
    fix: str
    where: SourceLine | None
    trace: str


def serve(connection: Connection, work: Work, board: Segment, slots: Sequence[Segment]) -> None:
    """Do tasks as they come until the other side is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the main process ends its workers
    torch.set_num_threads(1)  # there are as many workers as somebody wished cores to be used
    progress = ProgressBoard(board)
    try:
        connection.send(True)  # it is ready
        while True:
            task, slot = connection.recv()
            connection.send_bytes(_pickled(_answer(work, task, progress, slot, slots)))
    except (EOFError, ConnectionError):
        return


def _answer(work: Work, task: Task, board: ProgressBoard, slot: int, slots: Sequence[Segment]) -> Parcel | Failure:
    try:
        result = work.run(task, board, slots[slot].arena())
        leaves, rebuild = leaves_of(result.value, _goes_as_bytes)
        return Parcel(slot, slots[slot].write(leaves), rebuild, Result(None, result.skipped, result.timings))
    except TesseraError as error:
        return Failure(slot, type(error), error.received, error.expected, error.fix, error.where, _trace(error))
    except BaseException as error:  # noqa: BLE001 - SystemExit of a user's function too: the main process decides
        return Failure(
            slot,
            DataError,
            f"Positions {task.start:,} to {task.stop:,} of epoch {task.epoch} failed: {type(error).__name__}: {error}.",
            "Every sample can be made.",
            "Look at the line below, and try it with workers=0.",
            line_of_error(error),
            _trace(error),
        )


def _pickled(answer: Parcel | Failure) -> memoryview:
    try:
        return ForkingPickler.dumps(answer)
    except Exception as error:  # noqa: BLE001 - whatever the user's objects raise
        words = f"What was made cannot be sent from a worker process: {type(error).__name__}: {error}."
        expected = "It is tensors, arrays, numbers and texts, or other objects that pickle takes."
        fix = "Make it of those in map() or collate; or write worker_kind='thread', or workers=0."
        return ForkingPickler.dumps(Failure(answer.slot, DataError, words, expected, fix, None, _trace(error)))


def _goes_as_bytes(value: Any) -> bool:
    if type(value) is torch.Tensor:
        plain = value.layout is torch.strided and value.device.type == "cpu" and not value.requires_grad
        return plain and not (value.is_conj() or value.is_neg() or value.is_quantized or value.is_nested)
    return type(value) is np.ndarray and value.dtype.kind in "biufcmM" and value.dtype.isnative


def _trace(error: BaseException) -> str:
    return "".join(traceback.format_exception(error))
