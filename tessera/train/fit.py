"""``fit``: trains a model on data, with one program call for each step or for many."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import torch

from tessera.capture.train_step import TrainStep
from tessera.errors import OptimizerError
from tessera.nn.losses import LossFunction, own_loss, resolve_loss
from tessera.optim.adamw import AdamW
from tessera.optim.optimizer import Optimizer
from tessera.optim.transformation import GradientTransformation
from tessera.train.batches import BatchReader
from tessera.train.early_stopping import EarlyStopping, Watch
from tessera.train.history import History
from tessera.train.in_memory import InMemory
from tessera.train.kept_step import kept_step
from tessera.train.labels import TRAINING_DATA, LabelCheck
from tessera.train.loop import Loop
from tessera.train.metrics import Metric, resolve_metrics
from tessera.train.modes import mode
from tessera.train.progress import ProgressBar
from tessera.train.settings import check_measures, check_settings
from tessera.train.source import check_passes, source
from tessera.train.training import Training
from tessera.train.validation import validate
from tessera.train.weights_folder import WeightsFolder

VALIDATION_DATA = "validation data"
Optimizers = torch.optim.Optimizer | Sequence[torch.optim.Optimizer] | GradientTransformation | None


def fit(
    module: torch.nn.Module,
    data: object,
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
    """Train ``module`` in place.

    A batch is ``(inputs, labels)``, ``(input_1, ..., labels)``, a dict with a key ``labels`` or ``target`` (the others
    are keyword arguments of the model), or an object with ``.images`` or ``.inputs`` and ``.labels`` or ``.targets``.
    Tensors are taken as they are; arrays and lists become tensors, floats in the model's dtype and labels that are
    whole numbers as int64. All are moved to the model's device.

    Args:
        module: any ``torch.nn.Module``; trained in train mode, its modes are put back after.
        data: in memory a tuple or dict like a batch, of arrays or tensors ``[samples, ...]``; else a
            ``torch.utils.data.Dataset`` of samples, a DataLoader or any iterable of batches.
        loss: a callable ``(prediction, target) -> 0-d tensor`` or a name; ``"auto"`` is cross-entropy for whole-number
            labels and mean squared error for others. None for a module that returns its own loss (a 0-d tensor, or an
            output with a ``loss``): a batch then goes to it whole, labels included, and needs none.
        optimizer: over the parameters of ``module``, several over disjoint ones, or a gradient transformation; AdamW
            at 1e-3 by default.
        epochs: passes over the data.
        steps: train for this many steps instead, however many passes that takes.
        validation: held-out data, as ``data``; measured after every epoch in eval mode.
        precision: ``"fp32"``, the model's own dtype.
        clip_norm: scale gradients so that their global norm is at most this.
        accumulate: batches whose gradients are averaged for one update; every batch counts as a step.
        metrics: ``"accuracy"``, or functions ``(prediction, target) -> 0-d tensor`` by name; averaged over an epoch.
        early_stopping: stop after this many epochs without a better validation loss; see ``EarlyStopping``.
        checkpoint: a folder for the weights after every epoch: ``last.safetensors``, and ``best.safetensors`` by
            validation loss.
        callbacks: called with the history after every epoch; one that returns True stops the training.
        seed: of the order of the data and of torch's random numbers; None leaves them as they are.
        shuffle: a new order in every epoch, for data in memory and Datasets.
        batch_size: likewise.
        progress: True shows it, False does not, None shows it on a terminal.

    Returns:
        Losses, metrics and the reason why it stopped; ``print`` it.

    Raises:
        BatchError, LabelError, EmptyDatasetError: the data cannot be trained on; checked before a step sees it.
        LossError, OptimizerError: the loss is no scalar, the optimizer is another model's.
        NonFiniteError: a loss or gradient is NaN or infinite. The weights are those of the last finite step, and the
            error's ``history`` is what was trained until then.
    """
    check_settings(precision=precision, epochs=epochs, steps=steps, batch_size=batch_size)
    check_measures(loss, metrics)
    if seed is not None:
        torch.manual_seed(seed)
    reader = BatchReader.of(module, whole=loss is None)
    train = source(data, reader, TRAINING_DATA, batch_size, shuffle=shuffle, seed=seed)
    held_out = None if validation is None else source(validation, reader, VALIDATION_DATA, batch_size, shuffle=False)
    if steps is None:
        check_passes(train, TRAINING_DATA, epochs)
    if held_out is not None:
        check_passes(held_out, VALIDATION_DATA, epochs if steps is None else None)

    function, measured = None if loss is None else resolve_loss(loss), resolve_metrics(metrics)
    chosen = _optimizers(module, optimizer)
    in_memory = {
        name: data.data.target
        for name, data in ((TRAINING_DATA, train), (VALIDATION_DATA, held_out))
        if isinstance(data, InMemory) and data.data.labels
    }

    def make_step() -> TrainStep:
        return kept_step(module, function, chosen, clip_norm=clip_norm, accumulate=accumulate, metrics=measured)

    rule = EarlyStopping(patience=early_stopping) if isinstance(early_stopping, int) else early_stopping
    total = steps or (train.steps * epochs if train.steps else None)
    with mode(module, training=True), ProgressBar(progress, None if steps else epochs, total) as bar:
        return Training(
            module=module,
            loop=Loop(module, make_step, LabelCheck(module, function or own_loss, in_memory), History(), bar),
            data=train,
            epochs=epochs,
            steps=steps,
            validate=None if held_out is None else lambda: validate(module, function or own_loss, measured, held_out),
            watch=None if rule is None else Watch(rule, module),
            folder=None if checkpoint is None else WeightsFolder(Path(checkpoint)),
            callbacks=tuple(callbacks),
        ).run()


def _optimizers(module: torch.nn.Module, given: Optimizers) -> list[torch.optim.Optimizer]:
    if given is None:
        return [AdamW(module, lr=1e-3)]
    if isinstance(given, GradientTransformation):
        return [Optimizer(module, given)]
    optimizers = list(given) if isinstance(given, Sequence) and not isinstance(given, str) else [given]
    if optimizers and all(isinstance(optimizer, torch.optim.Optimizer) for optimizer in optimizers):
        return optimizers
    raise OptimizerError(
        f"optimizer={given!r} was passed.",
        "It is an optimizer, a list of several, or a gradient transformation.",
        "Write for example optimizer=tessera.optim.Adam(model, lr=1e-3).",
    )
