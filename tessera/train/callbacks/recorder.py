"""What a log of a training holds, whatever it is written to."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from tessera.checkpoint.ranks import rank_of
from tessera.train.callbacks.callback import Callback
from tessera.train.callbacks.intervals import check_interval
from tessera.train.callbacks.learning_rate import learning_rates
from tessera.train.callbacks.stopwatch import Stopwatch
from tessera.train.run import Run


class Tag(NamedTuple):
    """The name of a value: ``group`` is ``train``, ``epoch``, ``validation``, or empty where the name says it all."""

    group: str
    name: str


Values = dict[Tag, float]


class Recorder(Callback):
    """Gathers values at a step and hands them to ``write``; only rank 0 of several does.

    - ``train``: the mean loss since the last record, and the other results of the last step.
    - ``epoch``: the means over an epoch, at its last step.
    - ``validation``: at the step it was measured after.
    - the learning rates, and ``samples/s``, without the first steps, which compile.

    Args:
        every: steps from one record to the next; there is one at the end of every epoch too.

    Raises:
        SettingError: ``every`` is no whole number of at least 1.
    """

    def __init__(self, every: int = 50) -> None:
        check_interval(self, every=every)
        self.every = every
        self._logged, self._writes = 0, False

    def open(self, run: Run) -> int:
        """Make ready to write what comes after ``run.step``; returns the last step that is logged."""
        raise NotImplementedError

    def write(self, run: Run, values: Values) -> None:
        """Write values of ``run.step``; those of one step may come in several calls."""
        raise NotImplementedError

    def close(self) -> None:
        """Nothing is written any more."""

    def begin(self, run: Run) -> None:
        self._watch, self._validations = Stopwatch(), len(run.history.validation)
        if rank_of() == 0:
            self._logged = self.open(run)
            self._writes = True

    def step(self, run: Run) -> None:
        self._record(run, {})

    def measured(self, run: Run, results: Mapping[str, float]) -> None:
        if len(run.history.validation) > self._validations:  # else `epoch` sees them as well: results of the epoch
            self._validations = len(run.history.validation)
            self._record(run, {Tag("validation", name): value for name, value in results.items()})

    def epoch(self, run: Run) -> None:
        row = run.history.epochs[-1].items()
        means = {name: value for name, value in row if name not in _COUNTS and not name.startswith("validation ")}
        self._record(run, {Tag("epoch", name): value for name, value in means.items()})

    def end(self, run: Run) -> None:
        if self._writes:
            self._writes = False
            self.close()

    def state_dict(self) -> dict[str, Any]:
        return {"logged": self._logged}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self._logged = int(state["logged"])

    def _record(self, run: Run, values: Values) -> None:
        losses, self._logged = run.history.loss[self._logged : run.step], run.step  # on every rank: snapshots agree
        if not self._writes:
            return
        if losses:
            others = {Tag("train", name): value for name, value in run.results.items() if name != "loss"}
            rates = {Tag("", name): value for name, value in learning_rates(run.optimizers).items()}
            values = {Tag("train", "loss"): math.fsum(losses) / len(losses)} | others | rates | values
        if lap := self._watch.lap(run):
            values[Tag("", "samples/s")] = lap.samples_per_second
        if values:
            self.write(run, values)


_COUNTS = ("epoch", "steps", "seconds")
