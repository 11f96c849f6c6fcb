"""What happened during a training."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

from tessera.program import Report

_ROWS = 20  # a longer table shows its beginning and its end


@dataclass
class History:
    """The record of one ``fit``. ``print(history)`` shows a table, ``to_json()`` is for programs.

    Attributes:
        loss: the loss of every step.
        epochs: for every epoch its number, steps, seconds, mean training ``loss`` and metrics, and the validation
            results as ``validation loss`` and so on.
        validation: the validation results of every epoch: ``loss`` and the metrics.
        metrics: the training metrics of every epoch, by name.
        stopped: why training ended.
        report: what Tessera did with the training step.
    """

    loss: list[float] = field(default_factory=list)
    epochs: list[dict[str, float]] = field(default_factory=list)
    validation: list[dict[str, float]] = field(default_factory=list)
    metrics: dict[str, list[float]] = field(default_factory=dict)
    stopped: str = ""
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

    def add_validation(self, results: dict[str, float]) -> None:
        """Keep the validation results of the latest epoch."""
        self.validation.append(results)
        self.epochs[-1] |= {f"validation {name}": value for name, value in results.items()}

    def to_json(self) -> str:
        """All of it, the Report included."""
        record = {
            "loss": self.loss,
            "epochs": self.epochs,
            "validation": self.validation,
            "metrics": self.metrics,
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
