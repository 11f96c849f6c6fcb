"""A training in TensorBoard."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from tessera.errors import MissingDependencyError
from tessera.train.callbacks.intervals import check_interval
from tessera.train.callbacks.recorder import Recorder, Values
from tessera.train.run import Run

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter


class TensorBoard(Recorder):
    """Writes what `tensorboard --logdir FOLDER` shows: ``train/loss``, ``epoch/loss``, ``validation/loss``, ``lr``, ...

    See `Recorder` for the values. A resumed training hides what was written after the step that it resumes from, and
    one from its first step whatever was in the folder before; no file is removed.

    Args:
        folder: for the event files, one folder for each training.
        every: steps from one record to the next.
        histograms: write a histogram of every weight after every so many steps (and never more often than ``every``),
            of its finite numbers; None for none.

    Raises:
        SettingError: ``every`` or ``histograms`` is no whole number of at least 1.
        MissingDependencyError: when training begins, the package tensorboard is not installed.
    """

    def __init__(self, folder: str | os.PathLike[str], every: int = 50, histograms: int | None = None) -> None:
        super().__init__(every)
        check_interval(self, histograms=histograms)
        self.folder, self.histograms = Path(folder), histograms
        self._writer: SummaryWriter | None = None
        self._drawn = 0

    def open(self, run: Run) -> int:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise MissingDependencyError(
                "The callback TensorBoard was passed, and the package tensorboard is not installed.",
                "It writes the event files.",
                "Install it with pip install 'tessera[tensorboard]', or pass CSVLogger.",
            ) from error
        # Steps count from 1; events from the purged step on are hidden.
        self._writer = SummaryWriter(str(self.folder), purge_step=run.step + 1)
        self._drawn = run.step // self.histograms if self.histograms else 0
        return min(self._logged, run.step)

    def write(self, run: Run, values: Values) -> None:
        if self._writer is None:
            return
        for tag, value in values.items():
            self._writer.add_scalar("/".join(filter(None, tag)), value, run.step)
        self._writer.flush()

    def step(self, run: Run) -> None:
        super().step(run)
        if self._writer and self.histograms and run.step // self.histograms > self._drawn:
            self._drawn = run.step // self.histograms
            for name, weight in run.module.named_parameters():
                numbers = weight.detach().float()
                if (finite := numbers[numbers.isfinite()]).numel():
                    self._writer.add_histogram(f"weights/{name}", finite, run.step)
            self._writer.flush()

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None
