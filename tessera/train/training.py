"""One training from its first epoch to its last: what happens between the epochs."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from tessera.errors import NonFiniteError
from tessera.train.early_stopping import Watch
from tessera.train.history import History
from tessera.train.loop import Loop
from tessera.train.source import Source
from tessera.train.weights_folder import WeightsFolder


@dataclass
class Training:
    """Runs the loop epoch by epoch and looks at the model in between.

    Attributes:
        epochs: passes over the data.
        steps: train for this many steps instead.
        validate: measures the held-out results.
        watch: stops early.
        folder: keeps weights.
        callbacks: called with the history; one that returns True stops.
    """

    module: torch.nn.Module
    loop: Loop
    data: Source
    epochs: int
    steps: int | None
    validate: Callable[[], dict[str, float]] | None
    watch: Watch | None
    folder: WeightsFolder | None
    callbacks: Sequence[Callable[[History], object]]

    def run(self) -> History:
        """Train until there is a reason to stop."""
        history = self.loop.history
        try:
            while not history.stopped:
                before = len(history.epochs)
                span = self._span()
                limit = sys.maxsize if self.steps is None else self.steps - self.loop.done
                self.loop.run(self.data.take(span, limit, self.loop.pace), self.data.steps if span > 1 else None)
                history.stopped = self._look() or self._finished()
                self.loop.bar.close_epochs(history.epochs[before:])
        except NonFiniteError as error:
            history.stopped = str(error)
            raise
        if self.watch and self.watch.restore():
            history.stopped += f"; the weights of epoch {self.watch.best_epoch} are back"
        return history

    def _span(self) -> int:
        """How many epochs to train before the next look."""
        if self.validate or self.watch or self.folder or self.callbacks:
            return 1
        if self.steps is not None and self.data.steps:
            left = -(-(self.steps - self.loop.done) // self.data.steps)
        else:
            left = self.epochs - len(self.loop.history.epochs)
        return max(1, min(self.data.span, left))

    def _look(self) -> str:
        """Validate, keep weights, call back; the reason to stop, if there is one."""
        history = self.loop.history
        results = self.validate() if self.validate else {}
        if self.validate:
            history.add_validation(results)
        if self.folder:
            self.folder.save(self.module, results)
        # Every callback is called, whatever the ones before it wish.
        wishes = [callback(history) is True for callback in self.callbacks]
        if self.watch and self.watch.should_stop(results or history.epochs[-1]):
            return f"no better {self.watch.rule.monitor} for {_count(self.watch.rule.patience, 'epoch')}"
        return "a callback asked to stop" if any(wishes) else ""

    def _finished(self) -> str:
        done, epochs = self.loop.done, len(self.loop.history.epochs)
        if self.steps is None:
            return _count(epochs, "epoch") + " done" if epochs == self.epochs else ""
        if done == self.steps:
            return _count(done, "step") + " done"
        return f"the data ended after {done:,} of {self.steps:,} steps" if self.data.once else ""


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
