"""What happened during a training."""

from __future__ import annotations

import copy
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tessera.program import Report

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_KEPT = ("epochs", "validation", "validation_steps", "metrics")  # by a snapshot, beside the losses
_ROWS = 20  # a longer table shows its beginning and its end


@dataclass
class History:
    """The record of one ``fit``. ``print(history)`` shows a table, ``to_json()`` is for programs.

    Attributes:
        loss: the loss of every step.
        epochs: for every epoch its number, steps, seconds, mean training ``loss`` and metrics, and the validation
            results as ``validation loss`` and so on.
        validation: the results of every validation: ``loss`` and the metrics.
        validation_steps: how many steps were done at each validation.
        metrics: the training metrics of every epoch, by name.
        learning_rates: pairs of a step and the rate, by name, from a `LearningRateMonitor`.
        stopped: why training ended.
        interrupted: the number of the signal that stopped it, such as ``signal.SIGTERM``; None: none did.
        checkpoint: the last snapshot of the run; None without ``checkpoint=``.
        report: what Tessera did with the training step.
    """

    loss: list[float] = field(default_factory=list)
    epochs: list[dict[str, float]] = field(default_factory=list)
    validation: list[dict[str, float]] = field(default_factory=list)
    validation_steps: list[int] = field(default_factory=list)
    metrics: dict[str, list[float]] = field(default_factory=dict)
    learning_rates: dict[str, list[tuple[int, float]]] = field(default_factory=dict)
    stopped: str = ""
    interrupted: int | None = None
    checkpoint: Path | None = None
    report: Report | None = None

    def add_epochs(self, steps: list[int], seconds_a_step: float, means: dict[str, list[float]]) -> None:
        """Keep the training results of further epochs: for each its number of steps and the means of its results."""
        first = len(self.epochs) + 1
        for number, (count, *values) in enumerate(zip(steps, *means.values(), strict=True), first):
            epoch = {"epoch": number, "steps": count, "seconds": count * seconds_a_step}
            self.epochs.append(epoch | dict(zip(means, values, strict=True)))
        for name, values in means.items():
            if name != "loss":
                self.metrics.setdefault(name, []).extend(values)

    def add_validation(self, step: int, results: dict[str, float]) -> None:
        """Keep the results of a validation after ``step`` steps."""
        self.validation.append(results)
        self.validation_steps.append(step)

    def show_validation(self) -> None:
        """Put the latest validation into the row of the latest epoch, if it belongs there."""
        if self.validation and self.validation_steps[-1] > sum(int(epoch["steps"]) for epoch in self.epochs[:-1]):
            self.epochs[-1] |= {f"validation {name}": value for name, value in self.validation[-1].items()}

    def state_dict(self) -> dict[str, Any]:
        """The losses and results, for a snapshot of the run."""
        kept = {name: getattr(self, name) for name in _KEPT}
        return {"loss": np.array(self.loss), **copy.deepcopy(kept)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from ``state_dict()``."""
        self.loss = state["loss"].tolist()
        for name in _KEPT:
            setattr(self, name, state[name])

    def plot(self, path: str | os.PathLike[str] | None = "history.png") -> Path | Figure:
        """Draw loss, metrics and learning rates over the steps.

        Args:
            path: where the picture goes, in the format of its ending; None for the matplotlib figure itself.

        Returns:
            The path, or the figure.

        Raises:
            MissingDependencyError: matplotlib is not installed.
        """
        from tessera.train.plot import draw

        figure = draw(self)
        if path is None:
            return figure
        figure.savefig(path)
        return Path(path)

    def to_json(self) -> str:
        """All of it, the Report included."""
        record = {
            "loss": self.loss,
            "epochs": self.epochs,
            "validation": self.validation,
            "validation_steps": self.validation_steps,
            "metrics": self.metrics,
            "learning_rates": self.learning_rates,
            "stopped": self.stopped,
            "report": json.loads(self.report.to_json()) if self.report else None,
        }
        return json.dumps(record, indent=2)

    def __str__(self) -> str:
        if not self.epochs:
            return f"no epoch finished: {self.stopped}"
        names = list(dict.fromkeys(name for epoch in self.epochs for name in epoch))
        rows = [[format_value(name, epoch.get(name)) for name in names] for epoch in self.epochs]
        if len(rows) > _ROWS:
            rows = [*rows[: _ROWS // 2], ["..."] * len(names), *rows[-_ROWS // 2 :]]
        widths = [max(map(len, column)) for column in zip(names, *rows, strict=True)]
        lines = [
            "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in [names, *rows]
        ]
        return "\n".join([*lines, self.stopped])


def format_value(name: str, value: float | None) -> str:
    """A result as people read it."""
    if value is None:
        return ""
    if name in ("epoch", "steps"):
        return f"{value:,}"
    return f"{value:.2f}" if name == "seconds" else f"{value:.4g}"
