"""A training as one table in a CSV file."""

from __future__ import annotations

import logging
import os
from pathlib import Path

from tessera.train.callbacks.recorder import Recorder, Tag, Values
from tessera.train.callbacks.step_table import StepTable
from tessera.train.run import Run

_log = logging.getLogger(__name__)


class CSVLogger(Recorder):
    """One row for a step that is logged: ``pandas.read_csv(path, index_col="step")``.

    The columns are ``step``, ``epoch``, ``loss`` (the mean since the row before), the metrics of the last step, ``lr``,
    ``samples/s``, ``epoch loss`` and other means over an epoch at its last step, ``validation loss`` and other held-out
    results at the step they were measured after; a cell is empty where there is no such value. Every row is on its way
    to the disk before the next step.

    A training from its first step writes the file anew. A resumed one removes the rows after the step that it resumes
    from and goes on, so that the file is what one uninterrupted training would have written. A row that cannot be
    written (a full disk) is tried again with the next.

    Args:
        path: of the file; missing folders are made.
        every: steps from one row to the next.

    Raises:
        SettingError: ``every`` is no whole number of at least 1; later, ``path`` is a file that is no such table.
        OSError: when training begins, ``path`` cannot be written.
    """

    def __init__(self, path: str | os.PathLike[str], every: int = 50) -> None:
        super().__init__(every)
        self._table = StepTable(Path(path))

    def open(self, run: Run) -> int:
        self._table.open(run.step)
        # What is in the file is known better there than in a snapshot, which may be older or newer than the last row.
        return self._table.last_step or min(self._logged, run.step)

    def write(self, run: Run, values: Values) -> None:
        cells = {"epoch": str(run.epoch)} | {_column(tag): format(value, ".9g") for tag, value in values.items()}
        try:
            self._table.put(run.step, cells)
        except OSError as error:
            _log.warning("Step %d could not be logged to %s and is tried again: %s", run.step, self._table.path, error)


def _column(tag: Tag) -> str:
    if tag.group == "train" and tag.name not in ("step", "epoch", "lr", "samples/s"):
        return tag.name
    return f"{tag.group} {tag.name}".strip()
