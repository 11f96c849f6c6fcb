"""Takes the batches of a training through its step."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field

import torch

from tessera.capture.train_step import TrainStep
from tessera.errors import NonFiniteError, NonFiniteStepError, TesseraError
from tessera.train.batches import Batch, Stack
from tessera.train.example_inputs import remember_inputs
from tessera.train.history import History
from tessera.train.labels import LabelCheck
from tessera.train.modes import buffers_kept
from tessera.train.pace import Pace
from tessera.train.progress import ProgressBar
from tessera.train.tape import Tape


@dataclass
class Loop:
    """Trains on batch after batch and keeps what the step answers.

    Attributes:
        make_step: makes the training step, once the labels of the first batch have been checked.
        labels: checks the labels of a batch before the step sees them.
        history: gets the losses of every finished epoch.
        done: steps so far.
    """

    module: torch.nn.Module
    make_step: Callable[[], TrainStep]
    labels: LabelCheck
    history: History
    bar: ProgressBar
    pace: Pace = field(default_factory=Pace)
    done: int = 0
    _step: TrainStep | None = None
    _steps_in_epoch: int | None = None
    _tape: Tape = field(default_factory=Tape)

    def run(self, pieces: Iterator[Batch | Stack], steps_in_epoch: int | None) -> None:
        """Train on all of ``pieces`` and write them into the history as epochs of ``steps_in_epoch`` (None: one epoch).

        Raises:
            NonFiniteError: a loss or gradient was not finite; what was trained before is in the history.
            LabelError, BatchError: a batch cannot be trained on; likewise.
        """
        before, started = self.done, time.perf_counter()
        self._steps_in_epoch = steps_in_epoch
        try:
            for piece in pieces:
                began = time.perf_counter()
                # A first step that fails (a loss that is no scalar) leaves the model as it was.
                with nullcontext() if self.done else buffers_kept(self.module):
                    self._take(piece)
                steps = piece.steps if isinstance(piece, Stack) else 1
                self.pace.follow(steps, time.perf_counter() - began)
        finally:
            taken = self.done - before
            if taken:
                self._tape.write(self.history, steps_in_epoch or taken, time.perf_counter() - started)

    def _take(self, piece: Batch | Stack) -> None:
        step = self._step or self._first(piece)
        if not isinstance(piece, Stack):
            self._single(step, piece)
            return
        losses = None if piece.names else step.run(*piece.inputs, *piece.labels)
        if losses is None:
            for batch in piece:
                self._single(step, batch)
        else:
            self._keep_run(step, piece, losses)

    def _first(self, piece: Batch | Stack) -> TrainStep:
        batch = next(iter(piece)) if isinstance(piece, Stack) else piece
        self.labels.begin(batch)
        remember_inputs(self.module, batch)
        self._step = step = self.make_step()
        self.history.report = step.report
        return step

    def _single(self, step: TrainStep, batch: Batch) -> None:
        self.labels.check(batch, self.done + 1)
        try:
            loss = step(*batch.positional, *batch.labels, **batch.named)
        except NonFiniteError as error:
            raise NonFiniteStepError(error, self.done + 1, self._epoch, self.history) from error
        except (IndexError, RuntimeError) as error:
            if not isinstance(error, TesseraError):
                self.labels.explain(batch, self.done + 1)
            raise
        self._keep(loss, step.metrics, 1, batch.size)

    def _keep_run(self, step: TrainStep, stack: Stack, losses: torch.Tensor) -> None:
        finite = losses.isfinite()
        good = len(losses) if bool(finite.all()) else int(finite.int().argmin())
        if good:
            metrics = {name: values[:good] if values.dim() else values for name, values in step.metrics.items()}
            self._keep(losses[:good], metrics, good, stack.size)
        # The step that stopped the run changed nothing: taken on its own, it raises with the name of the node.
        for batch in list(stack)[good:] if good < stack.steps else ():
            self._single(step, batch)

    def _keep(self, losses: torch.Tensor, metrics: Mapping[str, torch.Tensor], steps: int, size: int) -> None:
        results = {"loss": losses, **metrics}
        self._tape.add(results, steps, size)
        self.bar.advance(self.done + steps, self._epoch, results)
        self.done += steps

    @property
    def _epoch(self) -> int:
        """Number of the epoch that the next step belongs to."""
        unwritten = self.done - len(self.history.loss)
        return len(self.history.epochs) + 1 + (unwritten // self._steps_in_epoch if self._steps_in_epoch else 0)
