"""What a budget changes in how a compiled Program gets its memory: its buffers lie side by side in an arena."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tessera import torch_internals
from tessera.backend.memory.arena import Arena
from tessera.backend.memory.rehearsal import rehearse
from tessera.program import in_words

_ROOM = 2  # times the peak: gaps between buffers, and results that somebody keeps


def keep_together(output: torch_internals.InductorOutput, inputs: Sequence[Any]) -> list[str]:
    """Let the buffers of ``output`` come from an arena; returns what to say of its memory. ``inputs`` are fake."""
    rehearsal = rehearse(output.source, inputs)
    if rehearsal is None:
        return ["peak of what is allocated: cannot be predicted"]
    torch_internals.replace_name(output, "empty_strided_cpu", lambda _: Arena(_ROOM * rehearsal.peak).allocate)
    return [f"peak of what is allocated: {in_words(rehearsal.peak)} predicted"]
