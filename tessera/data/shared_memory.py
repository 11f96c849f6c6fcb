"""Memory that several processes see, and that is gone when the last of them is.

It has no name that could be left behind when a process is killed, and does not count against the size of ``/dev/shm``,
which containers keep small.
"""

from __future__ import annotations

import itertools
import math
import mmap
import os
import tempfile
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing import reduction
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

Array = torch.Tensor | np.ndarray
Like = tuple[Any, tuple[int, ...]]
"""Dtype, of torch or of NumPy, and shape."""

_ALIGNED = 64  # bytes; a cache line
_SPARE = 1.25  # a larger batch than the first is likely


class Segment:
    """Some memory. It is sent to a process when this starts, and may grow on either side."""

    def __init__(self, descriptor: int | None = None) -> None:
        self._descriptor = _anonymous_file() if descriptor is None else descriptor
        self._mapping: mmap.mmap | None = None
        self._bytes: NDArray[np.uint8] = np.empty(0, np.uint8)
        weakref.finalize(self, os.close, self._descriptor)

    def bytes(self, size: int) -> NDArray[np.uint8]:
        """Its first ``size`` bytes, uint8 ``[size]``."""
        if len(self._bytes) < size:
            present = os.fstat(self._descriptor).st_size
            if present < size:
                present = int(size * _SPARE)
                os.ftruncate(self._descriptor, present)
            self._mapping = mmap.mmap(self._descriptor, present)
            self._bytes = np.frombuffer(self._mapping, np.uint8)
        return self._bytes[:size]

    def arena(self) -> Callable[[tuple[int, ...], Any], np.ndarray]:
        """Something like ``numpy.empty`` that makes arrays here, one behind the other, as long as there is room.

        ``write`` need not copy them when they come in this order.
        """
        used = 0

        def empty(shape: tuple[int, ...], dtype: Any) -> np.ndarray:
            nonlocal used
            size = np.dtype(dtype).itemsize * math.prod(shape)
            part = self._bytes[used : used + size]
            if len(part) < size:
                return np.empty(shape, dtype)
            used += _padded(size)
            return part.view(dtype).reshape(shape)

        return empty

    def write(self, arrays: Sequence[Array]) -> list[Like]:
        """Copy ``arrays`` in, from the beginning; what is returned is for ``read``."""
        raw = [_raw(array) for array in arrays]
        starts = list(itertools.accumulate((_padded(len(part)) for part in raw), initial=0))
        before = self._bytes  # when it grows, the same memory is also at another address
        memory = self.bytes(starts[-1])
        here = [_address(part) == _address(memory) + start for part, start in zip(raw, starts, strict=False)]
        if not all(here):  # one that is elsewhere in the segment would be written over
            inside = [np.may_share_memory(part, before) or np.may_share_memory(part, memory) for part in raw]
            raw = [part.copy() if shared else part for part, shared in zip(raw, inside, strict=True)]
            for part, start in zip(raw, starts, strict=False):
                memory[start : start + len(part)] = part
        return [(array.dtype, tuple(array.shape)) for array in arrays]

    def read(self, likes: Sequence[Like], released: Callable[[], object] | None = None) -> list[Any]:
        """The arrays and tensors that ``write`` copied in, as views of the memory.

        Args:
            released: called when the last of the views, and of their own views, is gone.
        """
        sizes = [dtype.itemsize * math.prod(shape) for dtype, shape in likes]
        memory = self.bytes(sum(map(_padded, sizes)))
        if released is not None:
            memory = np.frombuffer(self._mapping or b"", np.uint8)  # an array of its own, which all views hold on to
            weakref.finalize(memory, released).atexit = False
        found, start = [], 0
        for (dtype, shape), size in zip(likes, sizes, strict=True):
            found.append(_shaped(memory[start : start + size], dtype, shape))
            start += _padded(size)
        return found

    def __reduce__(self) -> tuple[Any, ...]:
        return _received, (reduction.DupFd(self._descriptor),)


_copied: dict[int, tuple[Array, Segment]] | None = None


@contextmanager
def one_copy_each() -> Iterator[None]:
    """While it is open, ``shared_copy`` of the same array is the same memory: for workers that start together."""
    global _copied  # noqa: PLW0603 - pickling has no argument in which it could be passed along
    _copied = {}
    try:
        yield
    finally:
        _copied = None


def shared_copy(array: Array) -> tuple[Segment, Like]:
    """``array`` in memory that a process which is being started can see."""
    if _copied is not None and id(array) in _copied:
        segment = _copied[id(array)][1]
    else:
        segment = Segment()
        segment.write([array])
        if _copied is not None:
            _copied[id(array)] = (array, segment)
    return segment, (array.dtype, tuple(array.shape))


def _received(descriptor: Any) -> Segment:
    return Segment(descriptor.detach())


def _anonymous_file() -> int:
    if hasattr(os, "memfd_create"):
        return os.memfd_create("tessera-data")
    with tempfile.TemporaryFile() as file:  # elsewhere than on Linux: a file without a name
        return os.dup(file.fileno())


def _raw(array: Array) -> NDArray[np.uint8]:
    if isinstance(array, torch.Tensor):
        return array.detach().contiguous().reshape(-1).view(torch.uint8).numpy()
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8)


def _shaped(part: NDArray[np.uint8], dtype: Any, shape: tuple[int, ...]) -> Array:
    if isinstance(dtype, torch.dtype):
        # torch refuses to make a tensor without elements from a buffer.
        return torch.frombuffer(part, dtype=dtype).view(shape) if len(part) else torch.empty(shape, dtype=dtype)
    return part.view(dtype).reshape(shape)


def _address(part: NDArray[np.uint8]) -> int:
    return int(part.__array_interface__["data"][0])


def _padded(size: int) -> int:
    return -(-size // _ALIGNED) * _ALIGNED
