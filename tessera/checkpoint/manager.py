"""The snapshots of a run: what to save, when, beside the training; which to keep; and how the run goes on from them."""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

from tessera.checkpoint.background import Background
from tessera.checkpoint.finding import last_good, snapshots
from tessera.checkpoint.fingerprint import check_same_run, fingerprint, parameter_names
from tessera.checkpoint.manifest import Manifest, read_manifest
from tessera.checkpoint.random_state import RandomState
from tessera.checkpoint.ranks import agree, from_first, new_group, rank_of
from tessera.checkpoint.restoring import restore_snapshot
from tessera.checkpoint.retention import Best, Retention
from tessera.checkpoint.saving import StagedState, staged_state, write_snapshot
from tessera.checkpoint.staging import Stager
from tessera.checkpoint.stateful import can_load
from tessera.checkpoint.values import Json
from tessera.errors import CheckpointError, ResumeError, SettingError, StateError

_log = logging.getLogger(__name__)
RNG = "rng"


class CheckpointManager:
    """Saves a run as snapshots while it goes on, and resumes it.

    ``step`` costs a copy of the state where a snapshot is due, and next to nothing elsewhere: the copy is written,
    hashed and committed by a thread. If that fails, the next ``step``, ``save``, ``wait`` or ``close`` raises it. The
    random generators of Python, numpy and torch are part of every snapshot. Across ranks, every rank makes one and
    calls it alike.

    Args:
        folder: of this run alone; made when the first snapshot is saved.
        state: the run's objects by name: each has ``state_dict`` and ``load_state_dict`` (modules, optimizers,
            schedulers, loaders, histories), or is a random generator.
        save_every: steps from one snapshot to the next; None saves when ``save`` is called.
        keep: how many of the last snapshots are kept.
        best: which others; None for no others.
        asynchronous: False writes each snapshot before ``save`` returns.
        on_failure: what a snapshot that cannot be written (a full disk) does: ``"raise"`` ends the run at its next
            step, ``"continue"`` is said in the log and in ``failures``. What was saved before stays either way.
        data: what the run trains on, if that is not in ``state``, to tell when a run is resumed with other data.

    Attributes:
        failures: the errors that did not end the run, oldest first.
        resumed_from: the snapshot that ``resume`` took, None while there is none.

    Raises:
        SettingError: a number below one, or another word for ``on_failure``.
        StateError: an object that cannot be saved and loaded.

    Example:
        >>> import tempfile, torch
        >>> model = torch.nn.Linear(2, 1)
        >>> optimizer = torch.optim.AdamW(model.parameters())
        >>> state = {"model": model, "optimizer": optimizer}
        >>> with CheckpointManager(tempfile.mkdtemp(), state, save_every=10, keep=3) as checkpoints:
        ...     for step in range(checkpoints.resume() + 1, 21):
        ...         loss = model(torch.ones(4, 2)).square().mean()
        ...         loss.backward()
        ...         optimizer.step()
        ...         checkpoints.step(step)
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        state: Mapping[str, Any],
        *,
        save_every: int | None = None,
        keep: int = 3,
        best: Best | None = None,
        asynchronous: bool = True,
        on_failure: Literal["raise", "continue"] = "raise",
        data: Any = None,
    ) -> None:
        _check_settings(save_every, keep, on_failure)
        _check_state(state)
        self.folder = Path(folder)
        self.failures: list[CheckpointError] = []
        self.resumed_from: Path | None = None
        self._state = {**state, RNG: RandomState()}
        self._save_every, self._asynchronous, self._on_failure = save_every, asynchronous, on_failure
        self._retention = Retention(keep, best)
        names = parameter_names(state)
        described = {**state, **({} if data is None else {"data": data})}
        self._fingerprint = {name: fingerprint(value, names) for name, value in described.items()}
        self._stager, self._background, self._group = Stager(), Background(), new_group()
        self._saved_step = 0

    def resume(self) -> int:
        """Put the run back to its last good snapshot, all of it or nothing.

        Returns:
            How many steps it had done; 0 where nothing has been saved yet.

        Raises:
            ResumeError: the model, the optimizer or the data is not what it was; the message says what differs.
            CheckpointError: there are snapshots, and none of them is good.
        """
        number, error = 0, None
        if rank_of(self._group) == 0:
            try:
                number = self._last_good_number()
            except CheckpointError as found:
                error = found
        agree(error, self._group)
        number = from_first(number, self._group)
        if number == 0:
            return 0
        snapshot = next(path for path in snapshots(self.folder) if path.name.endswith(f"-{number:06d}"))
        manifest = read_manifest(snapshot)
        if manifest.step is None:
            raise ResumeError(
                f"{str(snapshot)!r} was saved by tessera.checkpoint.save.",
                "A run is resumed from snapshots that a CheckpointManager saved, which know the step.",
                "Load it with tessera.checkpoint.load or restore, and write another folder for the run.",
            )
        check_same_run(self.folder, manifest.fingerprint, self._fingerprint)
        restore_snapshot(snapshot, manifest, self._state, group=self._group)
        self.resumed_from, self._saved_step = snapshot, manifest.step
        return manifest.step

    def step(self, step: int, metrics: Mapping[str, float] | None = None) -> None:
        """Tell that the run has done ``step`` steps; saves if a snapshot is due since the last one.

        Args:
            metrics: of this step, for ``best``.

        Raises:
            CheckpointError: the last snapshot could not be written.
            StateError: the state cannot be saved.
        """
        self._background.check()
        if self._save_every and step // self._save_every > self._saved_step // self._save_every:
            self.save(step, metrics)

    def steps_to_next(self, step: int) -> int | None:
        """How many steps after ``step`` the next snapshot is due; None if only ``save`` saves."""
        return None if self._save_every is None else self._save_every - step % self._save_every

    def save(self, step: int, metrics: Mapping[str, float] | None = None, *, wait: bool = False) -> None:
        """Save a snapshot now, due or not. The snapshot before is finished first.

        Args:
            wait: whether to return only when it is on the disk.

        Raises:
            CheckpointError, StateError: as ``step``.
        """
        self._background.wait()  # the buffers of the copy are the thread's until then
        staged = staged_state(self._state, self._stager)
        self._saved_step = step
        write = partial(self._write, staged, step, dict(metrics or {}))
        if self._asynchronous:
            self._background.start(write)
        else:
            write()
        if wait:
            self.wait()

    def wait(self) -> None:
        """Wait until the last snapshot is on the disk.

        Raises:
            CheckpointError: it could not be written.
        """
        self._background.wait()

    close = wait

    def best(self) -> Path | None:
        """The snapshot with the best value of the metric in ``best``; None without one."""
        if self._retention.best is None:
            return None
        found = self._retention.best.among(self._retention.metrics(snapshots(self.folder)))
        return found[0] if found else None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.close()
        except CheckpointError as failure:
            if error is None:
                raise
            error.add_note(f"And the last snapshot could not be written: {failure}")

    def _last_good_number(self) -> int:
        present = snapshots(self.folder)
        if not present:
            return 0
        good = last_good(present)
        if good is None:
            raise CheckpointError(
                f"None of the {len(present)} snapshots in {str(self.folder)!r} is whole.",
                "A run is resumed from a snapshot whose files are as they were written.",
                "Copy one back from where it was kept, or write another folder to begin anew.",
            )
        return int(good.name.rpartition("-")[2])

    def _write(self, staged: StagedState, step: int, metrics: Mapping[str, float]) -> None:
        finite = {name: float(value) for name, value in metrics.items() if math.isfinite(value)}

        def describe(values: Json) -> Manifest:
            return Manifest({}, {}, values, step=step, metrics=finite, fingerprint=self._fingerprint)

        try:
            write_snapshot(self.folder, staged, describe, self._group)
            if rank_of(self._group) == 0:
                self._retention.apply(self.folder)
        except CheckpointError as error:
            if self._on_failure == "raise" or not isinstance(error.__cause__, OSError):
                raise
            self.failures.append(error)
            _log.warning("The snapshot of step %d was not saved, the run goes on: %s", step, error.received)


def _check_settings(save_every: int | None, keep: int, on_failure: str) -> None:
    for name, value in (("save_every", save_every), ("keep", keep)):
        if value is not None and (type(value) is not int or value < 1):
            raise SettingError(
                f"{name}={value!r} was passed.",
                f"{name} is a whole number of at least 1.",
                f"Write for example {name}={20 if name == 'save_every' else 3}.",
            )
    if on_failure not in {"raise", "continue"}:
        raise SettingError(
            f"on_failure={on_failure!r} was passed.",
            "It is 'raise', to end the run when a snapshot cannot be written, or 'continue'.",
            "Write on_failure='raise'.",
        )


def _check_state(state: Mapping[str, Any]) -> None:
    for name, value in state.items():
        if name == RNG or "." in name or not can_load(value):
            taken = "has a name with a dot" if "." in name else "has a name that the manager uses itself"
            what = taken if name == RNG or "." in name else f"is a {type(value).__name__}"
            raise StateError(
                f"state[{name!r}] {what}.",
                "The state of a run is made of objects with state_dict() and load_state_dict(), and random generators.",
                "Pass the object that holds it, under a name of its own.",
            )
