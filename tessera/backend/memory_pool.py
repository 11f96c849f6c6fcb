"""Keeps the large intermediate buffers of a Program from one step to the next.

The C library returns a block of tens of MiB to the system when it is freed, and the next step pays for every page
again: a GPT's logits cost more in page faults than in arithmetic. Blocks here are handed out again once nobody else
refers to their memory, so a result the user keeps is never overwritten.
"""

from __future__ import annotations

import ctypes
import sys
import threading
from collections.abc import Sequence

import torch

from tessera import torch_internals

SMALLEST = 1 << 20  # bytes; below, the C library keeps blocks itself
_WASTE = 1.25  # a block may be this much larger than what is asked for


class MemoryPool:
    """Stands in for the allocator of one wrapper."""

    def __init__(self) -> None:
        self._lock = threading.Lock()  # a block found free must be taken before another thread looks
        self._blocks: dict[torch.dtype, list[_Block]] = {}
        self._elements: dict[tuple[Sequence[int], Sequence[int], torch.dtype], int] = {}

    def allocate(self, shape: Sequence[int], strides: Sequence[int], dtype: torch.dtype) -> torch.Tensor:
        """An uninitialised CPU tensor; ``shape`` and ``strides`` in elements."""
        key = (shape, strides, dtype)
        elements = self._elements.get(key)
        if elements is None:
            elements = self._elements[key] = span(shape, strides)
        if elements * dtype.itemsize < SMALLEST:
            return torch_internals.empty_strided_cpu(shape, strides, dtype)
        with self._lock:
            block = self._free_block(elements, dtype)
            return torch_internals.view_of_memory(block, shape, strides)

    def _free_block(self, elements: int, dtype: torch.dtype) -> torch.Tensor:
        blocks = self._blocks.setdefault(dtype, [])
        for block in blocks:
            if elements <= block.elements <= elements * _WASTE and block.is_free():
                return block.memory
        blocks.append(_Block(elements, dtype))
        return blocks[-1].memory


class _Block:
    """Memory for ``elements`` elements; free while nobody but the block itself refers to it."""

    def __init__(self, elements: int, dtype: torch.dtype) -> None:
        self.elements = elements
        self.memory = torch.empty(elements, dtype=dtype)
        self._handle = torch_internals.memory_of(self.memory)
        self._users_when_free = torch_internals.storage_users(self._handle)

    def is_free(self) -> bool:
        return torch_internals.storage_users(self._handle) == self._users_when_free


def span(shape: Sequence[int], strides: Sequence[int]) -> int:
    """Elements from the first to the last of a tensor in memory."""
    if 0 in shape:
        return 0
    return 1 + sum((size - 1) * stride for size, stride in zip(shape, strides, strict=True))


def release_free_memory() -> None:
    """Give memory that the C library keeps for later back to the system, where it can (glibc)."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim is not None:
        trim(0)
