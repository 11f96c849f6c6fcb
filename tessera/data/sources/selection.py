"""Some samples of another source."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from tessera.data.permutation import Indices
from tessera.data.source import Empty, Samples, Source
from tessera.data.stages import Stage
from tessera.errors import SettingError


class Selection(Source):
    """The samples ``indices`` of ``source``, in this order."""

    def __init__(self, source: Source, indices: Sequence[int] | np.ndarray | torch.Tensor) -> None:
        chosen = np.asarray(indices)
        size = len(source)
        if chosen.size == 0:
            chosen = chosen.astype(np.int64)
        wrong = chosen.ndim != 1 or chosen.dtype.kind not in "iu"
        if wrong or bool(((chosen < -size) | (chosen >= size)).any()):
            raise SettingError(
                f"select() got indices of shape {list(chosen.shape)} and dtype {chosen.dtype}"
                + ("." if wrong else f" from {chosen.min()} to {chosen.max()}."),
                f"They are whole numbers, [k], from {-size} to {size - 1}.",
                "Write for example dataset.select(range(1000)), or numpy.flatnonzero(mask).",
            )
        self.source, self.indices = source, chosen.astype(np.int64) % max(1, size)
        self.columnar = source.columnar

    def __len__(self) -> int:
        return len(self.indices)

    def samples(self, indices: Indices) -> Samples:
        return self.source.samples(self.indices[indices])

    def batch(self, indices: Indices, empty: Empty = np.empty) -> Any:
        return self.source.batch(self.indices[indices], empty)

    def describe(self) -> dict[str, Any]:
        return {
            "kind": "selection",
            "of": self.source.describe(),
            "samples": len(self),
            "checksum": zlib.crc32(self.indices.tobytes()),
        }

    def name(self, index: int) -> str:
        return self.source.name(int(self.indices[index]))

    def stages_of(self, index: int) -> tuple[Stage, ...]:
        return self.source.stages_of(int(self.indices[index]))

    def every_stage(self) -> tuple[Stage, ...]:
        return self.source.every_stage()
