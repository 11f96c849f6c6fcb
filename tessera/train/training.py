"""One training from its first step to its last: what happens between the steps and between the epochs."""

from __future__ import annotations

import contextlib
import math
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

from tessera.optim.optimizer import Optimizer
from tessera.train.callbacks.callback import Callback
from tessera.train.callbacks.checkpoint import Checkpoint
from tessera.train.history import History
from tessera.train.interruption import Interruption
from tessera.train.loop import Loop
from tessera.train.run import Run
from tessera.train.source import Source


@dataclass
class Training:
    """Takes the data through the loop, and does in between what is due.

    Attributes:
        run: what is trained, and how far it is.
        loop: trains on batches.
        data: where they come from.
        epochs: passes over the data.
        steps: train for this many steps instead.
        validate: measures the held-out results.
        validate_every: steps from one validation to the next; None: at the end of every epoch.
        callbacks: those with snapshots last, so that they save what the others have done.
        settings: what else a resumed run must have in common with the one it goes on from.
    """

    run: Run
    loop: Loop
    data: Source
    epochs: int
    steps: int | None
    validate: Callable[[], dict[str, float]] | None
    validate_every: int | None
    callbacks: Sequence[Callback]
    settings: Mapping[str, Any] = field(default_factory=dict)
    _own_reason: bool = field(default=False, init=False)  # to stop, not a callback's
    _several: bool = field(default=False, init=False)  # epochs are on the tape, from the beginning of the first

    def __call__(self) -> History:
        """Train until there is a reason to stop."""
        run = self.run
        # From the beginning: a resumed run compiles before its first step, and its weights are none until it has.
        with Interruption() as interruption:
            for checkpoint in self._checkpoints:
                checkpoint.open(self._state(), self.loop.rehearse)
            for callback in self.callbacks:
                callback.begin(run)
            try:
                with self._ended():
                    self._stop(self._finished() or interruption.reason)
                    while not run.stopped:
                        self._epochs(interruption)
                    run.history.interrupted = interruption.received
            finally:
                # An epoch that was interrupted has a row too, for those who look at the history now.
                self.loop.close(several=self._several)
                run.history.stopped = run.stopped
        return run.history

    # -- what a snapshot keeps of it -----------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """How far it is, with everything that is on the way."""
        self.loop.tape.read()  # losses go to the history when they are read
        return {
            "step": self.run.step,
            "epoch": self.run.epoch,
            "stopped": "" if self._own_reason else self.run.stopped,
            "history": self.run.history.state_dict(),
            "loop": self.loop.state_dict(),
            "callbacks": {name: callback.state_dict() for name, callback in self._named_callbacks()},
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from ``state_dict()``; callbacks that were not there then begin anew."""
        self.run.step, self.run.epoch, self.run.stopped = state["step"], state["epoch"], state["stopped"]
        self.run.history.load_state_dict(state["history"])
        self.loop.load_state_dict(state["loop"])
        for name, callback in self._named_callbacks():
            if name in state["callbacks"]:
                callback.load_state_dict(state["callbacks"][name])

    def fingerprint(self) -> dict[str, Any]:
        """What would differ if it were another training."""
        return dict(self.settings)

    def _state(self) -> dict[str, Any]:
        optimizers = {f"optimizer{number or ''}": each for number, each in enumerate(self.run.optimizers)}
        return {"model": self.run.module, **optimizers, "data": self.data, "training": self}

    def _named_callbacks(self) -> Iterator[tuple[str, Callback]]:
        counts: dict[str, int] = {}
        for callback in self.callbacks:
            if not isinstance(callback, Checkpoint):
                kind = type(callback).__name__
                counts[kind] = counts.get(kind, 0) + 1
                yield f"{kind} {counts[kind]}", callback

    @property
    def _checkpoints(self) -> list[Checkpoint]:
        return [callback for callback in self.callbacks if isinstance(callback, Checkpoint)]

    # -- between the steps -----------------------------------------------------------------------------------------

    def _epochs(self, interruption: Interruption) -> None:
        """Train to the end of an epoch, or of several that nobody wants to look at one by one."""
        run, loop, before = self.run, self.loop, len(self.run.history.epochs)
        alone = self.data.offset > 0 and loop.tape.steps == 0  # the first part of this epoch has a row of its own
        # A run that was interrupted between the last step of an epoch and its end goes on with the end.
        ended = self.data.offset == 0 and loop.tape.steps > 0
        span = 0 if ended else 1 if alone else self._span()
        self._several = self.data.span > 1 and not alone
        limit = sys.maxsize if self.steps is None else self.steps - run.step
        due = self._due()
        for _ in loop.train(self.data.take(span, limit, loop.pace)):
            if run.step >= due:
                self._between_steps(at_end=span == 1 and self.data.offset in (0, self.data.steps))
                due = self._due()
            loop.pace.room = due - run.step
            if interruption.received is not None:
                self._stop(interruption.reason)
            if run.stopped:
                return
        loop.close(several=self._several)
        if len(run.history.epochs) > before:
            self._between_epochs()
            loop.bar.close_epochs(run.history.epochs[before:])
        self._stop(self._finished() or interruption.reason)

    def _due(self) -> int:
        """The next step after which something is to happen."""
        intervals = [self.validate_every if self.validate else None, *(callback.every for callback in self.callbacks)]
        due = min(((self.run.step // every + 1) * every for every in intervals if every), default=sys.maxsize)
        self.loop.pace.room = due - self.run.step
        return due

    def _between_steps(self, *, at_end: bool) -> None:
        """Do what is due; ``at_end`` of an epoch a snapshot waits for what happens then."""
        run = self.run
        self.loop.tape.read()
        run.results = self.loop.tape.last()
        if self.validate is not None and self._is_due(self.validate_every):
            self._measure(self.validate)
        for callback in self.callbacks:
            if self._is_due(callback.every) and not (at_end and isinstance(callback, Checkpoint)):
                callback.step(run)

    def _between_epochs(self) -> None:
        run = self.run
        if self.validate is None:
            self._tell(run.history.epochs[-1])
        elif self.validate_every is None:
            self._measure(self.validate)
        run.history.show_validation()
        for callback in self.callbacks:
            callback.epoch(run)
        for callback in self._checkpoints:
            if self._is_due(callback.every):
                callback.step(run)

    def _measure(self, validate: Callable[[], dict[str, float]]) -> None:
        """Validate with the weights that an optimizer averages, if one does."""
        run = self.run
        with ExitStack() as averaged:
            for optimizer in run.optimizers:
                if isinstance(optimizer, Optimizer):
                    averaged.enter_context(optimizer.averaged_weights())
            results = validate()
            run.history.add_validation(run.step, results)
            self._tell(results)
        for optimizer in run.optimizers:
            if isinstance(optimizer, Optimizer) and optimizer.observes and math.isfinite(results["loss"]):
                optimizer.observe(results["loss"])

    def _tell(self, results: Mapping[str, float]) -> None:
        for callback in self.callbacks:
            callback.measured(self.run, results)

    def _is_due(self, every: int | None) -> bool:
        return bool(every) and self.run.step % every == 0  # type: ignore[operator]

    # -- beginning and end -----------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _ended(self) -> Iterator[None]:
        """Tell every callback of the end, whatever it is; those with snapshots first, before anything is put back."""
        with ExitStack() as stack:
            for callback in self.callbacks:
                stack.callback(callback.end, self.run)
            try:
                yield
            except BaseException as error:
                self.run.error, self._own_reason = error, True
                self.run.stopped = str(error) or type(error).__name__
                raise

    def _span(self) -> int:
        """How many epochs to train before the next look, the running one among them."""
        watched = any(callback.watches_epochs for callback in self.callbacks)
        if watched or (self.validate is not None and self.validate_every is None):
            return 1
        if self.steps is not None and self.data.steps:
            left = -(-(self.steps - self.run.step + self.data.offset) // self.data.steps)
        else:
            left = self.epochs - self.data.epoch
        return max(1, min(self.data.span, left))

    def _stop(self, reason: str) -> None:
        if reason and not self.run.stopped:
            self.run.stop(reason)
            self._own_reason = True

    def _finished(self) -> str:
        step, epochs = self.run.step, self.data.epoch
        if self.loop.tape.steps:
            return ""
        if self.steps is None:
            return _count(epochs, "epoch") + " done" if epochs >= self.epochs else ""
        if step >= self.steps:
            return _count(step, "step") + " done"
        return f"the data ended after {step:,} of {self.steps:,} steps" if self.data.once and epochs else ""


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
