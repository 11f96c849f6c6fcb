"""``fit``: trains a model on data, with one program call for each step or for many."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import torch

from tessera.backend.own_passes import resolve_passes
from tessera.backend.rewrite import Pass
from tessera.backend.tuning import resolve_tune
from tessera.capture.compile import plain_module
from tessera.capture.loss_scale import LossScale
from tessera.capture.train_step import TrainStep
from tessera.debug.shadow import Shadow, resolve_verify
from tessera.errors import OptimizerError, SettingError
from tessera.nn.losses import LossFunction, own_loss, resolve_loss, weighted_loss
from tessera.nn.losses.class_weight import ClassWeights
from tessera.optim.adamw import AdamW
from tessera.optim.optimizer import Optimizer
from tessera.optim.transformation import GradientTransformation
from tessera.program import resolve_memory_budget, resolve_precision
from tessera.random.source import resolve_random
from tessera.train.batches import Batch, BatchReader
from tessera.train.callbacks.callback import Callback, EpochCallback
from tessera.train.callbacks.checkpoint import Checkpoint
from tessera.train.early_stopping import EarlyStopping
from tessera.train.first_forward import make_parameters
from tessera.train.history import History
from tessera.train.in_memory import InMemory
from tessera.train.kept_step import kept_step
from tessera.train.labels import TRAINING_DATA, LabelCheck
from tessera.train.loop import Loop
from tessera.train.metrics import Metrics, resolve_metrics, step_metrics
from tessera.train.modes import mode
from tessera.train.progress import ProgressBar
from tessera.train.run import Run
from tessera.train.settings import check_company, check_counts, check_measures, check_seed
from tessera.train.source import check_passes, source
from tessera.train.tape import Tape
from tessera.train.training import Training
from tessera.train.validation import validate

VALIDATION_DATA = "validation data"
Optimizers = torch.optim.Optimizer | Sequence[torch.optim.Optimizer] | GradientTransformation | None
OneCallback = Callback | Callable[[History], object]
Callbacks = OneCallback | Iterable[OneCallback]


def fit(
    module: torch.nn.Module,
    data: object,
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
    """Train ``module`` in place.

    A batch is ``(inputs, labels)``, ``(input_1, ..., labels)``, a dict with a key ``labels`` or ``target`` (the others
    are keyword arguments of the model), or an object with ``.images`` or ``.inputs`` and ``.labels`` or ``.targets``.
    Tensors are taken as they are; arrays and lists become tensors, floats in the model's dtype and labels that are
    whole numbers as int64. All are moved to the model's device.

    Args:
        module: any ``torch.nn.Module``; trained in train mode, its modes are put back after.
        data: in memory a tuple or dict like a batch, of arrays or tensors ``[samples, ...]``; else a
            ``torch.utils.data.Dataset`` of samples, a ``tessera.data.Loader``, a DataLoader or any iterable of batches.
        loss: a callable ``(prediction, target) -> 0-d tensor`` or a name; ``"auto"`` is cross-entropy for whole-number
            labels and mean squared error for others. None for a module that returns its own loss (a 0-d tensor, or an
            output with a ``loss``): a batch then goes to it whole, labels included, and needs none.
        optimizer: over the parameters of ``module``, several over disjoint ones, or a gradient transformation; AdamW
            at 1e-3 by default.
        epochs: passes over the data.
        steps: train for this many steps instead, however many passes that takes.
        validation: held-out data, as ``data``; measured in eval mode, with averaged weights if an optimizer keeps them.
        validate_every: steps from one validation to the next; None: at the end of every epoch.
        precision: of products: ``"fp32"``, the model's own dtype, ``"auto"``, ``"bf16"`` ..., or a dict by layers; see
            ``train_step``.
        memory_budget: ``"24GiB"``, ``"auto"`` or a part of what activations take, see ``train_step``; activations that
            there is no room for are computed again in the backward.
        passes: of your own, ``tessera.Pass``, behind Tessera's, see ``train_step``.
        tune: how long other ways to compile the step may be tried, ``"30s"`` or seconds, see ``train_step``.
        verify: ``"shadow"`` computes the first steps twice, compiled and as plain PyTorch, see ``train_step``.
        stabilise: compute what is wrong in floating point in a stable form, see ``train_step``.
        random: ``"tessera"`` has dropout and its like draw from Tessera's counter-based numbers, see ``train_step``.
        clip_norm: scale gradients so that their global norm is at most this.
        accumulate: batches whose gradients are averaged for one update; every batch counts as a step.
        loss_scale: of float16 gradients, see ``train_step``; by default it is found and followed where there are any.
        class_weight: what the samples of a class weigh in the loss: a dict (missing classes weigh 1), a list or a
            tensor ``[classes]``; see ``tessera.nn.losses.weighted_loss``.
        sample_weight: what each sample of data in memory weighs in the loss, ``[samples]``. Batches bring theirs under
            the key or attribute ``sample_weight``.
        metrics: names, functions ``(prediction, target) -> 0-d tensor`` or torchmetrics objects, one or several in a
            list or a dict. Functions are averaged over an epoch; what has a state is measured on held-out data only.
        early_stopping: stop after this many validations without a better loss; see ``EarlyStopping``.
        checkpoint: a folder for snapshots of the whole run, and for the weights; see ``Checkpoint``. Ctrl-C and SIGTERM
            save one and end the training between two steps, with ``history.interrupted``.
        save_every: steps from one snapshot to the next; None: at the end of every epoch.
        keep: how many of the last snapshots are kept.
        resume: go on from the last good snapshot in ``checkpoint``; what follows is what would have followed without
            the interruption, bit for bit. False begins anew.
        callbacks: one or several, see ``tessera.train``; a function is called with the history after every epoch, and
            one that returns True stops the training.
        seed: of the order of the data and of torch's random numbers; None leaves them as they are.
        shuffle: a new order in every epoch, for data in memory and Datasets.
        batch_size: likewise.
        progress: True shows it, False does not, None shows it on a terminal.

    Returns:
        Losses, metrics and the reason why it stopped; ``print`` it.

    Raises:
        BatchError, LabelError, EmptyDatasetError: the data cannot be trained on; checked before a step sees it.
        ResumeError: the run in ``checkpoint`` has another model, optimizer or data; the message says what differs.
        CheckpointError: a snapshot could not be written or read.
        LossError, OptimizerError: the loss is no scalar, the optimizer is another model's.
        MismatchError: under ``verify=Shadow(on_mismatch="raise")``: a compiled and a plain step disagree.
        NonFiniteError: a loss or gradient is NaN or infinite. The weights are those of the last finite step, and the
            error's ``history`` is what was trained until then.
    """
    check_counts(
        epochs=epochs, steps=steps, batch_size=batch_size, accumulate=accumulate,
        validate_every=validate_every, save_every=save_every, keep=keep,
    )  # fmt: skip
    check_seed(seed)
    asked, budget = resolve_precision(precision), resolve_memory_budget(memory_budget)
    own_passes, seconds, shadow = resolve_passes(passes), resolve_tune(tune), resolve_verify(verify)
    numbers = resolve_random(random)
    asked.check_layers(plain_module(module))
    check_measures(loss, metrics)
    check_company(
        class_weight=(class_weight, "loss", loss),
        sample_weight=(sample_weight, "loss", loss),
    )
    watching = _callbacks(callbacks, early_stopping)
    if checkpoint is not None:
        watching.append(Checkpoint(checkpoint, save_every=save_every, keep=keep, resume=resume))
    if seed is not None:
        torch.manual_seed(seed)
    reader = BatchReader.of(module, whole=loss is None)
    train = source(data, reader, TRAINING_DATA, batch_size, shuffle=shuffle, seed=seed, sample_weight=sample_weight)
    held_out = None if validation is None else source(validation, reader, VALIDATION_DATA, batch_size, shuffle=False)
    if steps is None:
        check_passes(train, TRAINING_DATA, epochs)
    if held_out is not None:
        check_passes(held_out, VALIDATION_DATA, epochs if steps is None and validate_every is None else None)

    measured = resolve_metrics(metrics)
    in_step = step_metrics(measured, held_out=held_out is not None)
    plain = None if loss is None else resolve_loss(loss)
    function = plain if plain is None or class_weight is None else weighted_loss(plain, class_weight, reader.device)
    make_parameters(module, train)
    chosen = _optimizers(module, optimizer)
    in_memory = {
        name: data.data.target
        for name, data in ((TRAINING_DATA, train), (VALIDATION_DATA, held_out))
        if isinstance(data, InMemory) and data.data.labels
    }

    def make_step(batch: Batch) -> TrainStep:
        weighted = plain is not None and batch.weight is not None
        return kept_step(
            module,
            weighted_loss(plain, class_weight, reader.device) if plain and weighted else function,
            chosen,
            clip_norm=clip_norm,
            accumulate=accumulate,
            loss_scale=loss_scale,
            precision=asked,
            memory_budget=budget,
            passes=own_passes,
            tune=seconds,
            verify=shadow,
            stabilise=stabilise,
            random=numbers,
            metrics=in_step,
            targets=2 if weighted else 1,
            # What a resumed run compiles depends on what this one has compiled, and on nothing before it.
            fresh=any(isinstance(callback, Checkpoint) for callback in watching),
        )

    history = History()
    run = Run(module, chosen, history)
    total = steps or (train.steps * epochs if train.steps else None)
    with mode(module, training=True), ProgressBar(progress, None if steps else epochs, total) as bar:
        check = LabelCheck(module, plain or own_loss, in_memory)
        return Training(
            run=run,
            loop=Loop(run, make_step, check, bar, train.steps, Tape(history), reader.device),
            data=train,
            epochs=epochs,
            steps=steps,
            validate=None if held_out is None else partial(validate, module, function or own_loss, measured, held_out),
            validate_every=None if held_out is None else validate_every,
            callbacks=watching,
            settings={
                "loss": _name(loss),
                "clip_norm": clip_norm,
                "accumulate": accumulate,
                "class_weight": str(class_weight),
                "precision": str(asked),
            },
        )()


def _callbacks(given: Callbacks, early_stopping: int | EarlyStopping | None) -> list[Callback]:
    """All callbacks, those with snapshots last."""
    found: list[Callback] = []
    for callback in given if isinstance(given, Iterable) else (given,):
        if isinstance(callback, type) or not (isinstance(callback, Callback) or callable(callback)):
            raise SettingError(
                f"callbacks holds {callback!r}.",
                "A callback is a tessera.train.Callback, or a function that is called with the history.",
                "Write for example callbacks=[tessera.train.CSVLogger('log.csv')].",
            )
        found.append(callback if isinstance(callback, Callback) else EpochCallback(callback))
    if early_stopping is not None:
        rule = early_stopping
        found.append(rule if isinstance(rule, EarlyStopping) else EarlyStopping(patience=rule))
    return sorted(found, key=lambda callback: isinstance(callback, Checkpoint))


def _name(loss: Any) -> str:
    """A loss as a snapshot remembers it."""
    return loss if isinstance(loss, str) else getattr(loss, "__qualname__", type(loss).__qualname__)


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
