"""Where a worker is, told by the worker in shared memory, to be read when it can no longer answer."""

from __future__ import annotations

import numpy as np

from tessera.data.shared_memory import Segment

READING, COLLATING, WAITING = -1, -2, -3
"""Instead of the number of a stage."""


class ProgressBoard:
    """The sample and the stage that somebody works on: position in the epoch, index in the source, number of the stage.

    Args:
        segment: where to write it; its own memory when nobody else reads it.
    """

    def __init__(self, segment: Segment | None = None) -> None:
        memory = np.zeros(24, np.uint8) if segment is None else segment.bytes(24)
        self._numbers = memory.view(np.int64)
        self.at(0, 0, WAITING)

    def at(self, position: int, index: int, stage: int) -> None:
        """Note what begins now."""
        self._numbers[0], self._numbers[1], self._numbers[2] = position, index, stage

    def stage(self, number: int) -> None:
        """Note the next stage of the same sample."""
        self._numbers[2] = number

    def read(self) -> tuple[int, int, int]:
        """Position, index and stage, as last written."""
        position, index, stage = self._numbers
        return int(position), int(index), int(stage)


def look(segment: Segment) -> tuple[int, int, int]:
    """What stands on the board in ``segment``, which somebody else writes."""
    position, index, stage = segment.bytes(24).view(np.int64)
    return int(position), int(index), int(stage)
