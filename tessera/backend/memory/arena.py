"""Buffers of a Program side by side in one stretch of memory, where they take little more than exists at once.

A pool of blocks holds as many blocks of every size as were ever needed of it; a step that computes activations again
asks for other sizes in its backward than in its forward. Here a buffer goes into the smallest gap that holds it, and
is gone when nobody refers to it any more. Pages that were never touched cost nothing.

References:
    Wilson et al., Dynamic storage allocation: a survey and critical review, 1995.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from tessera import torch_internals
from tessera.backend.memory_pool import SMALLEST, MemoryPool, span

_ALIGNMENT = 64


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
        size: bytes; what does not fit comes from a pool of blocks.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._memory = torch.empty(max(size, 1), dtype=torch.uint8).numpy()
        self._lock = threading.Lock()
        self._used: list[_Place] = []  # by where they are
        self._known: dict[tuple[int, int, torch.dtype], _Place] = {}
        self._pool = MemoryPool()

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
        self._used = [place for place in self._used if not place.is_free()]
        needed = -(-elements * dtype.itemsize // _ALIGNMENT) * _ALIGNMENT
        start = at = smallest = None
        end = 0
        for index, place in enumerate(self._used):
            gap = place.start - end
            if gap >= needed and (smallest is None or gap < smallest):
                start, at, smallest = end, index, gap
            end = place.end
        if start is None or at is None:
            start, at = end, len(self._used)
        if start + needed > self._size:
            return None
        place = self._known.get((start, elements, dtype)) or self._new(start, elements, dtype, needed)
        self._used.insert(at, place)
        return place

    def _new(self, start: int, elements: int, dtype: torch.dtype, needed: int) -> _Place:
        memory = torch.frombuffer(self._memory, dtype=dtype, count=elements, offset=start)
        handle = torch_internals.storage_handle(memory)
        place = _Place(start, start + needed, memory, handle, torch_internals.storage_users(handle))
        self._known[start, elements, dtype] = place
        return place
