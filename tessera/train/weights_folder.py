"""The weights of a training on disk: the last ones, and the best by validation loss."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch


@dataclass
class WeightsFolder:
    """Writes ``last.safetensors`` after every epoch and ``best.safetensors`` when the validation loss is the lowest yet."""

    path: Path
    best: float = math.inf

    def save(self, module: torch.nn.Module, validation: Mapping[str, float]) -> None:
        """Save the weights of one more epoch with its validation results (none: no best)."""
        self._write(module, "last")
        if validation.get("loss", math.inf) < self.best:
            self.best = validation["loss"]
            self._write(module, "best")

    def _write(self, module: torch.nn.Module, name: str) -> None:
        self.path.mkdir(parents=True, exist_ok=True)
        unfinished = self.path / f"{name}.unfinished"
        save_weights(module, unfinished)
        os.replace(unfinished, self.path / f"{name}.safetensors")
