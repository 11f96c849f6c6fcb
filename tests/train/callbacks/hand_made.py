"""A training without arithmetic, that calls its callbacks as `fit` does; it can be cut off and resumed."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field

import torch

from tessera.train.batches import Batch
from tessera.train.history import History
from tessera.train.run import Run


@dataclass
class Snapshot:
    step: int
    history: dict
    callbacks: list[dict]


@dataclass
class Training:
    """``loss`` of a step is a function of its number; ``epoch_steps`` and ``validate_every`` are in steps."""

    steps: int = 10
    epoch_steps: int = 5
    validate_every: int | None = None
    save_every: int | None = None
    save_first: bool = False  # before the callbacks of that step, or after them
    samples: int = 4
    module: torch.nn.Module = field(default_factory=lambda: torch.nn.Linear(3, 2))
    optimizers: list[torch.optim.Optimizer] = field(default_factory=list)
    update: object = None  # called before every step is counted
    seconds: object = staticmethod(lambda step: 0.5)  # that a step takes

    def loss(self, step):
        return 1 / (step + 0.5)

    def run(self, callbacks, *, since=None, die_after=None):
        """Train from the snapshot ``since`` on; returns the snapshots taken. ``die_after`` is a step: no ``end``."""
        run = Run(self.module, self.optimizers, History())
        if since:
            run.step, run.history = since.step, History()
            run.history.load_state_dict(copy.deepcopy(since.history))
            run.epoch = len(run.history.epochs) + 1
            for callback, state in zip(callbacks, copy.deepcopy(since.callbacks), strict=True):
                callback.load_state_dict(state)
        taken = []
        for callback in callbacks:
            callback.begin(run)
        while run.step < self.steps and not run.stopped:
            if self.update:
                self.update()
            run.step += 1
            run.samples += self.samples
            run.seconds += self.seconds(run.step)
            run.batch = run.batch or Batch((torch.ones(self.samples, 3),), torch.zeros(self.samples, 2))
            run.epoch = (run.step - 1) // self.epoch_steps + 1
            run.history.loss.append(self.loss(run.step))
            run.results = {"loss": self.loss(run.step), "accuracy": run.step / 100}
            saves = self.save_every and run.step % self.save_every == 0
            if saves and self.save_first:
                taken.append(self._snapshot(run, callbacks))
            self._call(run, callbacks)
            if saves and not self.save_first:
                taken.append(self._snapshot(run, callbacks))
            if die_after == run.step:
                return taken
        run.history.stopped = run.stopped or f"{run.step} steps done"
        for callback in callbacks:
            callback.end(run)
        self.history = run.history
        return taken

    def _call(self, run, callbacks):
        for callback in callbacks:
            if callback.every and run.step % callback.every == 0:
                callback.step(run)
        ends = run.step % self.epoch_steps == 0
        if self.validate_every and run.step % self.validate_every == 0:
            results = {"loss": 2 * self.loss(run.step)}
            run.history.add_validation(run.step, results)
            for callback in callbacks:
                callback.measured(run, results)
        if ends:
            losses = run.history.loss[-self.epoch_steps :]
            means = {"loss": [sum(losses) / len(losses)], "accuracy": [run.step / 200]}
            run.history.add_epochs([self.epoch_steps], 0.01, means)
            if self.validate_every:
                run.history.show_validation()
            else:
                for callback in callbacks:
                    callback.measured(run, {name: values[0] for name, values in means.items()})
            for callback in callbacks:
                callback.epoch(run)

    def _snapshot(self, run, callbacks):
        states = [copy.deepcopy(callback.state_dict()) for callback in callbacks]
        return Snapshot(run.step, run.history.state_dict(), states)
