"""What a budget changes in how a compiled Program gets its memory: its buffers lie side by side in an arena.

A later run says what it really takes: not the first, in which libraries make what they keep for good.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from tessera import torch_internals
from tessera.backend.memory.arena import SMALLEST, Arena
from tessera.backend.memory.measurement import measured
from tessera.backend.memory.placement import extent, placement
from tessera.backend.memory.rehearsal import Rehearsal, rehearse
from tessera.program import Compilation

Call = Callable[[list[Any]], Sequence[Any]]
_SETTLED = 2  # runs after which libraries have made what they keep for good
_ROOM = 2  # times what the buffers take: for runs that are not as foreseen


@dataclass(frozen=True)
class Layout:
    """Where the buffers of a run lie.

    Attributes:
        starts: the first byte of each that is not too small, in order.
        extent: bytes that they take together.
        peak: bytes that are allocated at the peak, those outside of the arena included.
    """

    starts: list[int]
    extent: int
    peak: int


def layout(rehearsal: Rehearsal) -> Layout:
    """Find a place for every buffer."""
    buffers = [one for one in rehearsal.buffers if one.size >= SMALLEST]
    inside = set(map(id, buffers))
    others = Rehearsal([one for one in rehearsal.allocations if id(one) not in inside], [])
    starts = placement(buffers)
    together = extent(buffers, starts)
    return Layout(starts, together, together + others.peak)


class Together:
    """Stands in for a wrapper whose buffers lie together."""

    def __init__(self, call: Call, where: Layout) -> None:
        self._call, self.layout = call, where
        self.arena = Arena(where.starts, _ROOM * where.extent)
        self._told: Compilation | None = None
        self._runs = 0

    def tell(self, compilation: Compilation) -> None:
        """Say there what is predicted, and in the second run from now on what is measured."""
        self._told, self._runs = compilation, 0
        compilation.predicted_peak = self.layout.peak

    def __call__(self, inputs: list[Any]) -> Sequence[Any]:
        self.arena.begin()
        if self._told is None:
            return self._call(inputs)
        self._runs += 1
        if self._runs < _SETTLED or not self.arena.release():
            return self._call(inputs)
        told, self._told = self._told, None
        device = next((value.device for value in inputs if isinstance(value, torch.Tensor)), torch.device("cpu"))
        result, told.measured_peak = measured(lambda: self._call(inputs), device)
        return result


def keep_together(output: torch_internals.InductorOutput, inputs: Sequence[Any]) -> Together | None:
    """Let the buffers of ``output`` come from an arena; ``inputs`` are fake. None: it cannot be rehearsed."""
    rehearsal = rehearse(output.source, inputs)
    return None if rehearsal is None else put_together(output, layout(rehearsal))


def put_together(output: torch_internals.InductorOutput, where: Layout) -> Together:
    """The same, where it is known already how the buffers lie."""
    together = Together(torch_internals.without_gradients(output.call), where)
    torch_internals.replace_name(output, "empty_strided_cpu", lambda _: together.arena.allocate)
    return together
