"""``tessera.nn.Module``: a ``torch.nn.Module`` with doors to training, export and weights.

A door has a few lines and imports what is behind it when it is opened: defining and running a model needs torch alone.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import torch

from tessera.nn.losses import LossFunction
from tessera.nn.summary import summarize

if TYPE_CHECKING:
    from tessera.export.example import Dims, Inputs
    from tessera.export.exported import Exported
    from tessera.train.early_stopping import EarlyStopping
    from tessera.train.fit import Optimizers
    from tessera.train.history import History
    from tessera.train.metrics import Metric


class Module(torch.nn.Module):
    """A ``torch.nn.Module`` to everything that takes one."""

    def fit(
        self,
        train: object,
        *,
        loss: str | LossFunction | None = "auto",
        optimizer: Optimizers = None,
        epochs: int = 1,
        steps: int | None = None,
        validation: object = None,
        precision: str = "fp32",
        clip_norm: float | None = None,
        accumulate: int = 1,
        metrics: str | Mapping[str, Metric] | None = None,
        early_stopping: int | EarlyStopping | None = None,
        checkpoint: str | os.PathLike[str] | None = None,
        callbacks: Iterable[Callable[[History], object]] = (),
        seed: int | None = None,
        shuffle: bool = True,
        batch_size: int = 32,
        progress: bool | None = None,
    ) -> History:
        """Train this model on ``train``, with AdamW unless told otherwise; see ``tessera.fit``."""
        from tessera.train.fit import fit

        return fit(
            self,
            train,
            loss=loss,
            optimizer=optimizer,
            epochs=epochs,
            steps=steps,
            validation=validation,
            precision=precision,
            clip_norm=clip_norm,
            accumulate=accumulate,
            metrics=metrics,
            early_stopping=early_stopping,
            checkpoint=checkpoint,
            callbacks=callbacks,
            seed=seed,
            shuffle=shuffle,
            batch_size=batch_size,
            progress=progress,
        )

    def export(
        self,
        path: str | os.PathLike[str],
        example_inputs: Inputs | None = None,
        dims: Dims | None = None,
    ) -> Exported:
        """Write this model to a file and check the file against it; see ``tessera.export``."""
        from tessera.export.export import export

        return export(self, path, example_inputs, dims)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Save the weights as safetensors; see ``tessera.nn.weights.save_weights``."""
        from tessera.nn.weights import save_weights

        save_weights(self, path)

    def load(self, path: str | os.PathLike[str], *, strict: bool = True) -> list[str]:
        """Load weights of PyTorch, Hugging Face or safetensors; see ``tessera.nn.weights.load_weights``."""
        from tessera.nn.weights import load_weights

        return load_weights(self, path, strict=strict)

    def summary(self, example_input: Any = None) -> str:
        """A table of layers, output shapes (with an example) and parameters; see ``tessera.nn.summary.summarize``."""
        return summarize(self, example_input)
