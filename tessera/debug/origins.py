"""Which operation made a tensor: remembered by the memory that it lies in, for as long as that memory is alive.

A tensor is told by its storage and its layout within it, not by its Python object: views come back from autograd as
other objects. What is written in place makes the whole storage new.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch

from tessera import torch_internals

_FEWEST = 1000  # storages before those that are gone are looked for


@dataclass
class _Memory:
    alive: torch_internals.WeakStorage
    last: int = 0
    layouts: dict[tuple[int, ...], int] = field(default_factory=dict)
    dims: dict[tuple[int, ...], tuple[str | int, ...]] = field(default_factory=dict)


class Origins:
    """Numbers of operations, and declared dims, by tensor."""

    def __init__(self) -> None:
        self._memories: dict[int, _Memory] = {}
        self._limit = _FEWEST

    def made(self, tensor: torch.Tensor, number: int) -> None:
        """Operation ``number`` made ``tensor``, or a view that it is."""
        if (memory := self._memory(tensor)) is not None:
            memory.last = memory.last or number
            memory.layouts[_layout(tensor)] = number

    def wrote(self, tensor: torch.Tensor, number: int) -> None:
        """Operation ``number`` wrote into ``tensor``."""
        if (memory := self._memory(tensor)) is not None:
            memory.last, memory.layouts = number, {_layout(tensor): number}

    def number(self, tensor: torch.Tensor) -> int:
        """Of the operation that made ``tensor``; 0 where none did that was seen."""
        memory = self._memories.get(torch_internals.storage_key(tensor))
        if memory is None or memory.alive.expired():
            return 0
        return memory.layouts.get(_layout(tensor), memory.last)

    def declare(self, tensor: torch.Tensor, dims: tuple[str | int, ...]) -> None:
        """``tensor`` was annotated with ``dims``, such as ``("B", "S", 512)``."""
        if (memory := self._memory(tensor)) is not None:
            memory.dims[_layout(tensor)] = dims

    def dims(self, tensor: torch.Tensor) -> tuple[str | int, ...]:
        """What ``tensor`` was annotated with; () if it was not."""
        memory = self._memories.get(torch_internals.storage_key(tensor))
        return () if memory is None or memory.alive.expired() else memory.dims.get(_layout(tensor), ())

    def _memory(self, tensor: torch.Tensor) -> _Memory | None:
        key = torch_internals.storage_key(tensor)
        if not key:
            return None
        memory = self._memories.get(key)
        if memory is None or memory.alive.expired():
            memory = self._memories[key] = _Memory(torch_internals.WeakStorage(tensor.untyped_storage()))
            if len(self._memories) > self._limit:
                self._memories = {key: m for key, m in self._memories.items() if not m.alive.expired()}
                self._limit = max(_FEWEST, 2 * len(self._memories))
        return memory


def _layout(tensor: torch.Tensor) -> tuple[int, ...]:
    return (tensor.storage_offset(), *tensor.shape, *tensor.stride())
