"""What a training calls while it runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from tessera.train.history import History
from tessera.train.run import Run


class Callback:
    """Watches a training, and may stop it with ``run.stop(reason)``. Override what is of use.

    Calls to ``step`` cut the training into program calls of at most ``every`` steps; a callback that needs no steps
    costs nothing between the epochs.

    Attributes:
        every: steps from one call of ``step`` to the next; None: it is not called.
    """

    every: int | None = None

    @property
    def watches_epochs(self) -> bool:
        """Whether something happens here at the end of every epoch; if nothing does, short epochs run as one."""
        return type(self).epoch is not Callback.epoch or type(self).measured is not Callback.measured

    def begin(self, run: Run) -> None:
        """Before the first step of this process; a resumed run is at ``run.step`` already."""

    def step(self, run: Run) -> None:
        """After every ``every`` steps; ``run.history.loss`` has the loss of each."""

    def measured(self, run: Run, results: Mapping[str, float]) -> None:
        """After every validation; without validation data after every epoch, with the epoch's training results."""

    def epoch(self, run: Run) -> None:
        """After every epoch and its validation; ``run.history.epochs[-1]`` is its row."""

    def end(self, run: Run) -> None:
        """At the end, whatever ended it: an error too."""

    def state_dict(self) -> dict[str, Any]:
        """What a snapshot of the training keeps of this callback, in plain values and tensors."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what ``state_dict`` returned."""


class EpochCallback(Callback):
    """A function called with the history after every epoch; it stops the training by returning True."""

    def __init__(self, function: Callable[[History], object]) -> None:
        self.function = function

    def epoch(self, run: Run) -> None:
        if self.function(run.history) is True:
            run.stop("a callback asked to stop")
