"""Buffers of a Program side by side in one stretch of memory, where they take little more than exists at once.

A pool of blocks holds as many blocks of every size as were ever needed of it; a step that computes activations again
asks for other sizes in its backward than in its forward. Here each buffer of a run has a place that was found before
(`placement.py`). Where a run does otherwise than was foreseen (other sizes, a result that somebody still holds) a
buffer goes into the smallest gap that there is. Pages that were never touched cost nothing.

References:
    Wilson et al., Dynamic storage allocation: a survey and critical review, 1995.
"""

from __future__ import annotations

import bisect
import mmap
import threading
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from tessera import torch_internals
from tessera.backend.memory.placement import aligned
from tessera.backend.memory_pool import MemoryPool, span

SMALLEST = 1 << 12  # bytes; below, a place costs more time than it saves memory


@dataclass
class _Place:
    """Bytes of the arena from ``start`` to ``end``, in use while somebody but the place itself refers to ``memory``."""

    start: int
    end: int
    memory: torch.Tensor
    handle: int
    users_when_free: int

    def is_free(self) -> bool:
        return torch_internals.storage_users(self.handle) == self.users_when_free


class Arena:
    """Stands in for the allocator of one wrapper.

    Args:
        starts: the first byte of every buffer of a run that is not too small, in the order in which they are asked for.
        size: bytes; what does not fit comes from a pool of blocks.
    """

    def __init__(self, starts: Sequence[int], size: int) -> None:
        self._starts, self._size = starts, size
        self._pages = mmap.mmap(-1, max(size, 1), flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        self._lock = threading.Lock()
        self._used: list[_Place] = []  # by where they are
        self._known: dict[tuple[int, int, torch.dtype], _Place] = {}
        self._pool = MemoryPool()
        self._asked = 0

    def begin(self) -> None:
        """A run begins: the next buffer is its first."""
        self._asked = 0

    def release(self) -> bool:
        """Give the memory back to the system until it is used again; not where somebody holds a part of it."""
        with self._lock:
            self._used = [place for place in self._used if not place.is_free()]
            if self._used or not hasattr(mmap, "MADV_DONTNEED"):
                return False
            self._pages.madvise(mmap.MADV_DONTNEED)
            return True

    def allocate(self, shape: Sequence[int], strides: Sequence[int], dtype: torch.dtype) -> torch.Tensor:
        """An uninitialised CPU tensor; ``shape`` and ``strides`` in elements."""
        elements = span(shape, strides)
        if elements * dtype.itemsize < SMALLEST:
            return torch_internals.empty_strided_cpu(shape, strides, dtype)
        with self._lock:
            place = self._place(elements, dtype)
            if place is not None:
                return torch_internals.view_of_memory(place.memory, shape, strides)
        return self._pool.allocate(shape, strides, dtype)

    def _place(self, elements: int, dtype: torch.dtype) -> _Place | None:
        needed = aligned(elements * dtype.itemsize)
        if self._asked == len(self._starts):  # a run that nobody announced
            self._asked = 0
        found = self._freed(self._starts[self._asked], needed) if self._starts else None
        self._asked += 1
        start, index = found or self._smallest_gap(needed)
        if start + needed > self._size:
            return None
        place = self._known.get((start, elements, dtype)) or self._new(start, elements, dtype, needed)
        self._used.insert(index, place)
        return place

    def _freed(self, start: int, needed: int) -> tuple[int, int] | None:
        """``start`` and where in ``_used`` it belongs, if nobody uses the bytes from there; else None."""
        index = last = bisect.bisect_right(self._used, start, key=lambda place: place.end)
        while last < len(self._used) and self._used[last].start < start + needed:
            if not self._used[last].is_free():
                return None
            last += 1
        del self._used[index:last]
        return start, index

    def _smallest_gap(self, needed: int) -> tuple[int, int]:
        """Its start, and where in ``_used`` it belongs."""
        self._used = [place for place in self._used if not place.is_free()]
        start = index = smallest = None
        end = 0
        for at, place in enumerate(self._used):
            gap = place.start - end
            if gap >= needed and (smallest is None or gap < smallest):
                start, index, smallest = end, at, gap
            end = place.end
        return (end, len(self._used)) if start is None or index is None else (start, index)

    def _new(self, start: int, elements: int, dtype: torch.dtype, needed: int) -> _Place:
        memory = torch.frombuffer(self._pages, dtype=dtype, count=elements, offset=start)
        handle = torch_internals.memory_of(memory)
        place = _Place(start, start + needed, memory, handle, torch_internals.storage_users(handle))
        self._known[start, elements, dtype] = place
        return place
