"""A consistent copy of tensors that training is about to overwrite, in memory that is kept for the next copy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.distributed.checkpoint.default_planner import create_default_local_save_plan
from torch.distributed.checkpoint.planner import WriteItem
from torch.distributed.tensor import DTensor

from tessera.checkpoint.payload import restored, stored

_APART = 64  # bytes: every copy begins at a cache line, whatever stands before it


@dataclass(frozen=True)
class StagedTensors:
    """Tensors as they were at one moment.

    Attributes:
        copies: by name, dense and on the CPU; of a DTensor this rank's part.
        parts: by name of a DTensor, what part of it this rank has, in the words of torch.distributed.checkpoint.
        events: of the copies from a GPU that may be under way.
    """

    copies: Mapping[str, Tensor]
    parts: Mapping[str, list[WriteItem]]
    events: tuple[torch.cuda.Event, ...] = ()

    def wait(self) -> None:
        """Wait until the copies are there; a GPU makes them in the order of its work, while Python goes on."""
        for event in self.events:
            event.synchronize()


@dataclass
class Stager:
    """Copies tensors into buffers that it keeps: a copy is valid until the next call of ``stage``.

    The first copy costs about twice the following ones, for the system has to find the memory.
    """

    _layout: list[tuple[torch.Size, torch.dtype]] = field(default_factory=list)
    _pinned: bool = False
    _places: list[Tensor] = field(default_factory=list)

    # The buffers must not become inference tensors where a program saves in inference mode: those are never written
    # again outside of it.
    @torch.inference_mode(mode=False)
    @torch.no_grad()
    def stage(self, tensors: Mapping[str, Tensor]) -> StagedTensors:
        """Copy ``tensors``, of whatever device; a change of theirs after the call is not in the copy.

        Raises:
            MemoryError, RuntimeError: there is not as much memory free as the tensors have.
        """
        parts = {
            name: create_default_local_save_plan({name: tensor}, is_coordinator=True).items
            for name, tensor in tensors.items()
            if isinstance(tensor, DTensor)
        }
        sources = [tensor.to_local() if isinstance(tensor, DTensor) else tensor for tensor in tensors.values()]
        bits = [stored(source.resolve_conj().resolve_neg()) for source in sources]
        devices = {source.device for source in sources if source.is_cuda}
        self._prepare([(source.shape, source.dtype) for source in bits], pinned=bool(devices))
        for place, source in zip(self._places, bits, strict=True):
            place.copy_(source, non_blocking=source.is_cuda)
        copies = (restored(place, source.dtype) for place, source in zip(self._places, sources, strict=True))
        return StagedTensors(
            dict(zip(tensors, copies, strict=True)), parts, tuple(map(_recorded, sorted(devices, key=str)))
        )

    def _prepare(self, layout: list[tuple[torch.Size, torch.dtype]], *, pinned: bool) -> None:
        if layout == self._layout and pinned == self._pinned:
            return
        self._layout, self._places = [], []  # the old memory goes before the new comes
        starts, end = [], 0
        for shape, dtype in layout:
            starts.append(end)
            end += -(-shape.numel() * dtype.itemsize // _APART) * _APART
        memory = torch.empty(end, dtype=torch.uint8, pin_memory=pinned, device="cpu")
        self._places = [
            memory[start : start + shape.numel() * dtype.itemsize].view(dtype).view(shape)
            for start, (shape, dtype) in zip(starts, layout, strict=True)
        ]
        self._layout, self._pinned = layout, pinned


def _recorded(device: torch.device) -> torch.cuda.Event:
    event = torch.cuda.Event()
    event.record(torch.cuda.current_stream(device))
    return event
