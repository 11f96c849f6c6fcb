"""Snapshots of a training, so that it survives whatever ends it."""

from __future__ import annotations

import logging
import math
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors import SafetensorError

from tessera.checkpoint.finding import snapshots
from tessera.checkpoint.manager import CheckpointManager
from tessera.checkpoint.ranks import rank_of
from tessera.checkpoint.retention import Best
from tessera.errors import CheckpointError, WeightsError
from tessera.nn.weights import save_weights
from tessera.train.callbacks.callback import Callback
from tessera.train.run import Run
from tessera.train.same_tensors import same_tensors

_log = logging.getLogger("tessera")
_SHARE = 10  # snapshots at every epoch's end take at most one part in so many of the time


class Checkpoint(Callback):
    """Saves the whole run beside the training, and resumes it: what ``fit(checkpoint=folder)`` makes.

    A snapshot is everything the next step depends on: weights, optimizer, random numbers, the position in the data, the
    history, the callbacks. Beside the snapshots there are ``best.safetensors``, the weights with the best validation
    loss, ``last.safetensors``, those of the end, and ``report.json``, what was compiled.

    Args:
        folder: of this run alone.
        save_every: steps from one snapshot to the next; None saves at the end of an epoch, unless epochs are so short
            that saving would take over a tenth of the time. The end of the training is always saved.
        keep: how many of the last snapshots are kept.
        best: which others, by a result of the validation that was made after the same step; with ``save_every=None``
            every epoch is then saved, however short. None for no others.
        resume: go on from the last good snapshot, if there is one.
        on_failure: ``"raise"`` or ``"continue"`` when a snapshot or weights cannot be written; see
            ``CheckpointManager``.

    Raises:
        SettingError: a number below one, or another word for ``on_failure``.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        *,
        save_every: int | None = None,
        keep: int = 3,
        best: Best | None = None,
        resume: bool = True,
        on_failure: Literal["raise", "continue"] = "raise",
    ) -> None:
        self.folder, self.every, self.resume = Path(folder), save_every, resume
        self._settings: dict[str, Any] = {"keep": keep, "best": best, "on_failure": on_failure}
        CheckpointManager(folder, {}, save_every=save_every, **self._settings)  # checks them before anything is read
        self._manager: CheckpointManager | None = None
        self._saved_step, self._least = -1, math.inf
        self._pause, self._saved_at = 0.0, -math.inf
        self._report = ""

    @property
    def watches_epochs(self) -> bool:
        return self.every is None

    def open(self, state: Mapping[str, Any], rehearse: Callable[[], bool]) -> None:
        """Take the objects that a snapshot consists of, and put them back to the last one.

        Args:
            rehearse: called once they are, and may change them all; returns whether it did.

        Raises:
            ResumeError: the run in the folder has another model, optimizer or data; the message says what differs.
            CheckpointError: there are snapshots, and none of them is good.
        """
        self._make_folder()
        self._manager = CheckpointManager(self.folder, {**state, "checkpoint": self}, **self._settings)
        step = self._manager.resume() if self.resume else 0
        if step and rehearse():
            optimizers = [value for value in state.values() if isinstance(value, torch.optim.Optimizer)]
            with same_tensors(optimizers):  # else what the rehearsal has compiled would be of no use
                step = self._manager.resume()
        if step:
            self._saved_step = step
            _log.info("Resumed at step %d from %s", step, self._manager.resumed_from)

    def step(self, run: Run) -> None:
        self._save(run)

    def measured(self, run: Run, results: Mapping[str, float]) -> None:
        if run.history.validation and results.get("loss", math.inf) < self._least:
            self._least = results["loss"]
            self._save_weights(run, "best.safetensors")

    def epoch(self, run: Run) -> None:
        # Of the best ones none is left out: which they are is known only when all are there.
        if self.every is None and (self._settings["best"] or time.perf_counter() - self._saved_at > self._pause):
            self._save(run)

    def end(self, run: Run) -> None:
        """Save the end, unless an error ended the training; what was saved before stays."""
        if self._manager is None:
            return
        if run.error is None and run.step:
            self._save(run)
            self._manager.wait()
            self._save_weights(run, "last.safetensors")
        self._manager.close()
        present = snapshots(self.folder)
        run.history.checkpoint = present[-1] if present else None

    def state_dict(self) -> dict[str, Any]:
        return {"least": self._least}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self._least = state["least"]

    def _save(self, run: Run) -> None:
        if self._manager is None or run.step == self._saved_step:
            return
        began = time.perf_counter()
        latest = run.history.validation_steps[-1:] == [run.step]
        self._manager.save(run.step, run.history.validation[-1] if latest else None)
        self._saved_at, self._saved_step = time.perf_counter(), run.step
        self._pause = (self._saved_at - began) * _SHARE
        report = run.history.report.to_json() if run.history.report else ""
        if report != self._report:
            self._report = report
            self._write_report()

    def _make_folder(self) -> None:
        """Now, for a place that cannot be written to is better known before the first step than after it."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise CheckpointError(
                f"checkpoint={str(self.folder)!r} cannot be a folder: {error.strerror}.",
                "The snapshots of a run have a folder of their own, which is made if need be.",
                "Pass a path in a folder that can be written to, such as checkpoint='runs/a'.",
            ) from error

    def _save_weights(self, run: Run, name: str) -> None:
        if rank_of() != 0:
            return
        try:
            save_weights(run.module, self.folder / name)
        except WeightsError as error:
            # State that is no tensor (an extra state) has no place in the file, and one in every snapshot.
            self._failed(name, error, ends=isinstance(error.__cause__, OSError | SafetensorError))

    def _write_report(self) -> None:
        if rank_of() != 0:
            return
        written = self.folder / ".report.json"
        try:
            written.write_text(self._report, encoding="utf-8")
            written.replace(self.folder / "report.json")
        except OSError as error:
            self._failed("report.json", error, ends=False)

    def _failed(self, name: str, error: Exception, *, ends: bool) -> None:
        if ends and self._settings["on_failure"] == "raise":
            raise error
        _log.warning("%s was not written to %s, the run goes on: %s", name, self.folder, error)
