"""The weights of a training on disk: the last ones, and the best by validation loss."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from tessera.nn.weights import save_weights


@dataclass
class WeightsFolder:
    """Writes ``last.safetensors`` after every epoch, ``best.safetensors`` whenever validation loss is lowest."""

    path: Path
    best: float = math.inf

    def save(self, module: torch.nn.Module, validation: Mapping[str, float]) -> None:
        """Save the weights of one more epoch with its validation results (none: no best).

        Raises:
            WeightsError: the folder cannot be written to.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        save_weights(module, self.path / "last.safetensors")
        if validation.get("loss", math.inf) < self.best:
            self.best = validation["loss"]
            save_weights(module, self.path / "best.safetensors")
