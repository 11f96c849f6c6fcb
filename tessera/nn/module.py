"""``tessera.nn.Module``: a ``torch.nn.Module`` with doors to training, export and weights.

A door has a few lines and imports what is behind it when it is opened: defining and running a model needs torch alone.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch

from tessera.explain.door import explain
from tessera.nn.losses import LossFunction
from tessera.nn.summary import summarize

if TYPE_CHECKING:
    from tessera.backend.rewrite import Pass
    from tessera.capture.loss_scale import LossScale
    from tessera.debug.shadow import Shadow
    from tessera.export.asked import Dims, Inputs
    from tessera.export.exported import Exported
    from tessera.nn.losses.class_weight import ClassWeights
    from tessera.quantize.rule import Rule
    from tessera.train.early_stopping import EarlyStopping
    from tessera.train.fit import Callbacks, Optimizers
    from tessera.train.history import History
    from tessera.train.metrics import Metrics


class Module(torch.nn.Module):
    """A ``torch.nn.Module`` to everything that takes one, whose errors say what was wrong and what to write instead."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if torch.compiler.is_compiling():
            return super().__call__(*args, **kwargs)
        try:
            return super().__call__(*args, **kwargs)
        except Exception as error:
            explain(error, args, kwargs)
            raise

    def fit(
        self,
        train: object,
        *,
        loss: str | LossFunction | None = "auto",
        optimizer: Optimizers = None,
        epochs: int = 1,
        steps: int | None = None,
        validation: object = None,
        validate_every: int | None = None,
        precision: str | Mapping[str, str] = "fp32",
        memory_budget: str | float | None = None,
        passes: Sequence[Pass] = (),
        tune: str | float | None = None,
        verify: str | Shadow | None = None,
        stabilise: bool = True,
        random: str = "torch",
        clip_norm: float | None = None,
        accumulate: int = 1,
        loss_scale: str | float | LossScale | None = "auto",
        class_weight: ClassWeights | None = None,
        sample_weight: object = None,
        metrics: Metrics = None,
        early_stopping: int | EarlyStopping | None = None,
        checkpoint: str | os.PathLike[str] | None = None,
        save_every: int | None = None,
        keep: int = 3,
        resume: bool = True,
        callbacks: Callbacks = (),
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
            validate_every=validate_every,
            precision=precision,
            memory_budget=memory_budget,
            passes=passes,
            tune=tune,
            verify=verify,
            stabilise=stabilise,
            random=random,
            clip_norm=clip_norm,
            accumulate=accumulate,
            loss_scale=loss_scale,
            class_weight=class_weight,
            sample_weight=sample_weight,
            metrics=metrics,
            early_stopping=early_stopping,
            checkpoint=checkpoint,
            save_every=save_every,
            keep=keep,
            resume=resume,
            callbacks=callbacks,
            seed=seed,
            shuffle=shuffle,
            batch_size=batch_size,
            progress=progress,
        )

    def evaluate(
        self,
        data: object,
        *,
        loss: str | LossFunction | None = "auto",
        metrics: Metrics = None,
        sample_weight: object = None,
        optimizer: torch.optim.Optimizer | None = None,
        batch_size: int = 32,
        progress: bool | None = None,
    ) -> dict[str, float]:
        """Loss and metrics of this model on ``data``; see ``tessera.evaluate``."""
        from tessera.train.evaluate import evaluate

        return evaluate(
            self,
            data,
            loss=loss,
            metrics=metrics,
            sample_weight=sample_weight,
            optimizer=optimizer,
            batch_size=batch_size,
            progress=progress,
        )

    def predict(
        self,
        data: object,
        *,
        keep: Callable[[Any], Any] | None = None,
        optimizer: torch.optim.Optimizer | None = None,
        batch_size: int = 32,
        progress: bool | None = None,
    ) -> Any:
        """What this model answers to ``data``; see ``tessera.predict``."""
        from tessera.train.predict import predict

        return predict(self, data, keep=keep, optimizer=optimizer, batch_size=batch_size, progress=progress)

    def export(
        self,
        path: str | os.PathLike[str],
        example_inputs: Inputs | None = None,
        dims: Dims | None = None,
        *,
        preprocessing: Callable[..., Any] | None = None,
        state: str | None = None,
        measure: bool = True,
        opset: int | None = None,
        weights: str | None = None,
        metadata: Mapping[str, str] | None = None,
        target: str | None = None,
        config: Mapping[str, Any] | None = None,
        sizes: Mapping[str, Sequence[int]] | None = None,
    ) -> Exported:
        """Write this model to a file and check the file against it; see ``tessera.export``."""
        from tessera.export.export import export

        return export(
            self,
            path,
            example_inputs,
            dims,
            preprocessing=preprocessing,
            state=state,
            measure=measure,
            opset=opset,
            weights=weights,
            metadata=metadata,
            target=target,
            config=config,
            sizes=sizes,
        )

    def quantize(
        self,
        target: str | None = None,
        calibration_data: object = None,
        rules: Sequence[Rule] | None = None,
        **settings: Any,
    ) -> torch.nn.Module:
        """A copy of this model with quantized weights, and a report; see ``tessera.quantize``."""
        from tessera.quantize.quantize import quantize

        return quantize(self, target, calibration_data, rules, **settings)

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
