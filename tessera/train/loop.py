"""Takes the batches of a training through its step."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch

from tessera.capture.train_step import TrainStep
from tessera.errors import NonFiniteError, NonFiniteStepError, TesseraError
from tessera.train.batches import Batch, Stack
from tessera.train.example_inputs import remember_inputs
from tessera.train.labels import LabelCheck
from tessera.train.modes import buffers_kept
from tessera.train.outline import Outline, batch_like, outline
from tessera.train.pace import Pace
from tessera.train.progress import ProgressBar
from tessera.train.run import Run
from tessera.train.tape import Tape

_log = logging.getLogger("tessera")


@dataclass
class Loop:
    """Trains on batch after batch and keeps what the step answers.

    Attributes:
        run: what is trained; knows after every piece how far it is.
        make_step: makes the training step for batches like this one, once the labels of the first have been checked.
        labels: checks the labels of a batch before the step sees them.
        steps_in_epoch: where the data knows it.
        tape: the results of the running epoch.
        device: where the batches are.
        seconds: that the steps on the tape took.
    """

    run: Run
    make_step: Callable[[Batch], TrainStep]
    labels: LabelCheck
    bar: ProgressBar
    steps_in_epoch: int | None
    tape: Tape
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    pace: Pace = field(default_factory=Pace)
    seconds: float = 0.0
    _step: TrainStep | None = None
    _step_state: Mapping[str, Any] | None = None
    _compiled_for: list[Outline] = field(default_factory=list)

    def train(self, pieces: Iterator[Batch | Stack]) -> Iterator[None]:
        """Train on all of ``pieces``, one at a ``next``.

        Raises:
            NonFiniteError: a loss or gradient was not finite; what was trained before is on the tape.
            LabelError, BatchError: a batch cannot be trained on; likewise.
        """
        while True:
            asked = time.perf_counter()
            piece = next(pieces, None)
            if piece is None:
                return
            began = time.perf_counter()
            # A first step that fails (a loss that is no scalar) leaves the model as it was.
            if self.run.batch is None:
                with buffers_kept(self.run.module):
                    self._take(piece)
            else:
                self._take(piece)
            ended = time.perf_counter()
            self.pace.follow(piece.steps if isinstance(piece, Stack) else 1, ended - began)
            self.seconds += ended - asked
            self.run.seconds += ended - asked
            yield

    def close(self, *, several: bool = False) -> None:
        """Write what is on the tape into the history: as one epoch, or as ``several`` of the usual length."""
        self.tape.close(self.steps_in_epoch if several else None, self.seconds)
        self.seconds = 0.0

    def state_dict(self) -> dict[str, Any]:
        """The running epoch, and what the step keeps from one call to the next."""
        step = self._step.state_dict() if self._step else self._step_state
        state = {"tape": self.tape.state_dict(), "seconds": self.seconds, "step": step}
        return {**state, "compiled_for": list(self._compiled_for)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from ``state_dict()``."""
        self.tape.load_state_dict(state["tape"])
        self.seconds, self._step_state, self._compiled_for = state["seconds"], state["step"], state["compiled_for"]
        if self._step is not None and self._step_state is not None:
            self._step.load_state_dict(self._step_state)

    def rehearse(self) -> bool:
        """Compile what the run had compiled until its snapshot, in the same order; all state is to be loaded again.

        What is compiled for a size depends on the sizes before it, and so do the last bits of every result.

        Returns:
            Whether anything was done.
        """
        for found in self._compiled_for:
            batch = batch_like(found, self.device)
            step = self._step = self._step or self.make_step(batch)
            if "auto" in step.precision.names:  # a batch of zeros bears what a real one may not
                self._step = None
                _log.warning(
                    "The run goes on with precision='auto', which is decided anew, by the first batch from here: where "
                    "it chooses otherwise than before, results are not bit for bit those of a run without a stop. "
                    "Name the precision, as in precision='bf16', to go on exactly."
                )
                return False
            compilations = len(step.report.compilations)
            try:
                step(*batch.positional, *batch.labels, **batch.named)
            except NonFiniteError:  # of a batch of zeros; it is compiled all the same
                pass
            except Exception as error:  # noqa: BLE001 - a model may refuse zeros in any way
                _warn_of_last_bits(f"{type(error).__name__}: {error}")
            else:
                if len(step.report.compilations) == compilations:  # a branch on values that zeros do not take
                    _warn_of_last_bits("what is compiled depends on the values in a batch")
        if self._step is not None:
            self.run.history.report = self._step.report
        return bool(self._compiled_for)

    def _take(self, piece: Batch | Stack) -> None:
        step = self._step if self._step and self.run.batch else self._first(piece)
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
        remember_inputs(self.run.module, batch)
        step = self._step
        if step is None:
            step = self._step = self.make_step(batch)
            if self._step_state is not None:
                step.load_state_dict(self._step_state)
        self.run.batch, self.run.history.report = batch, step.report
        return step

    def _single(self, step: TrainStep, batch: Batch) -> None:
        self.labels.check(batch, self.run.step + 1)
        compilations = len(step.report.compilations)
        try:
            loss = step(*batch.positional, *batch.labels, **batch.named)
        except NonFiniteError as error:
            raise NonFiniteStepError(error, self.run.step + 1, self._epoch(1), self.run.history) from error
        except (IndexError, RuntimeError) as error:
            if not isinstance(error, TesseraError):
                self.labels.explain(batch, self.run.step + 1)
            raise
        if len(step.report.compilations) > compilations:
            self._compiled_for.append(outline(batch))
        self._keep(loss, step.metrics, 1, batch.size)

    def _keep_run(self, step: TrainStep, stack: Stack, losses: torch.Tensor) -> None:
        good = len(losses)
        if good:
            self._keep(losses, step.metrics, good, stack.size)
        # The step that stopped the run changed nothing: taken on its own, it raises with the name of the node.
        for batch in list(stack)[good:] if good < stack.steps else ():
            self._single(step, batch)

    def _keep(self, losses: torch.Tensor, metrics: Mapping[str, torch.Tensor], steps: int, size: int) -> None:
        results = {"loss": losses, **metrics}
        self.tape.add(results, steps, size)
        run = self.run
        run.step, run.samples, run.epoch = run.step + steps, run.samples + steps * size, self._epoch(0)
        self.bar.advance(run.step, run.epoch, results)

    def _epoch(self, ahead: int) -> int:
        """Number of the epoch that the step ``ahead`` of the last one belongs to."""
        done = self.tape.steps + ahead - 1
        return len(self.run.history.epochs) + 1 + (done // self.steps_in_epoch if self.steps_in_epoch else 0)


def _warn_of_last_bits(reason: str) -> None:
    _log.warning(
        "The step could not be compiled ahead for batches of before (%s); from here on the last bits of results may "
        "differ from those of a run that was not interrupted",
        reason,
    )
