"""Keeps the large intermediate buffers of a Program from one step to the next.

The C library returns a block of tens of MiB to the system when it is freed, and the next step pays for every page
again: a GPT's logits cost more in page faults than in arithmetic. Blocks here are handed out again once nobody else
refers to their memory, so a result the user keeps is never overwritten.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from tessera import torch_internals

SMALLEST = 1 << 20  # bytes; below, the C library keeps blocks itself
_WASTE = 1.25  # a block may be this much larger than what is asked for


class MemoryPool:
    """Stands in for the allocator of one wrapper."""

    def __init__(self) -> None:
        self._blocks: dict[torch.dtype, list[tuple[int, torch.Tensor, int]]] = {}
        self._elements: dict[tuple[Sequence[int], Sequence[int], torch.dtype], int] = {}

    def allocate(self, shape: Sequence[int], strides: Sequence[int], dtype: torch.dtype) -> torch.Tensor:
        """An uninitialised CPU tensor; ``shape`` and ``strides`` in elements."""
        key = (shape, strides, dtype)
        elements = self._elements.get(key)
        if elements is None:
            elements = self._elements[key] = _span(shape, strides)
        if elements * dtype.itemsize < SMALLEST:
            return torch_internals.empty_strided_cpu(shape, strides, dtype)
        block = self._free_block(elements, dtype)
        return torch_internals.view_of_memory(block, shape, strides)

    def _free_block(self, elements: int, dtype: torch.dtype) -> torch.Tensor:
        blocks = self._blocks.setdefault(dtype, [])
        for size, block, storage in blocks:
            if elements <= size <= elements * _WASTE and torch_internals.storage_users(storage) == 1:
                return block
        block = torch.empty(elements, dtype=dtype)
        blocks.append((elements, block, torch_internals.storage_handle(block)))
        blocks.sort(key=lambda entry: entry[0])
        return block


def _span(shape: Sequence[int], strides: Sequence[int]) -> int:
    if 0 in shape:
        return 0
    return 1 + sum((size - 1) * stride for size, stride in zip(shape, strides, strict=True))
