"""The life of one piece of memory in a compiled Program."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass
class BufferLife:
    """Memory that a Program allocates for itself or for its results.

    Attributes:
        name: of its first user in the compiled code.
        num_bytes: what it takes.
        begin: number of the call that is the first to need it.
        end: number of the last call before which it is given back; the number of calls if it is returned.
    """

    name: str
    num_bytes: int
    begin: int
    end: int


def live_bytes(lives: Sequence[BufferLife], calls: int) -> list[int]:
    """Bytes that are allocated during each of ``calls`` calls."""
    change = [0] * (calls + 1)
    for life in lives:
        if life.begin < calls:
            change[life.begin] += life.num_bytes
            change[min(life.end, calls)] -= life.num_bytes
    total, found = 0, []
    for each in change[:calls]:
        total += each
        found.append(total)
    return found
