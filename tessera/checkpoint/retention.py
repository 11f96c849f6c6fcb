"""Which snapshots of a run are kept: the last ones, and the best by a metric."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from tessera.checkpoint.durable import remove_folder
from tessera.checkpoint.finding import snapshots
from tessera.checkpoint.manifest import MANIFEST, read_manifest
from tessera.errors import CheckpointError, SettingError


@dataclass(frozen=True)
class Best:
    """Keeps the snapshots with the best values of a metric, beside the last ones.

    Args:
        metric: one of the names in ``metrics`` when a snapshot is saved; without it, it is no candidate.
        mode: whether the least value is best, or the greatest.
        keep: how many.

    Raises:
        SettingError: another mode, or a number below one.
    """

    metric: str = "loss"
    mode: Literal["min", "max"] = "min"
    keep: int = 1

    def __post_init__(self) -> None:
        if self.mode not in {"min", "max"} or self.keep < 1:
            raise SettingError(
                f"Best was given mode={self.mode!r} and keep={self.keep}.",
                "mode is 'min' or 'max', and keep is at least 1.",
                "Write for example Best('accuracy', mode='max', keep=1).",
            )

    def among(self, metrics: Mapping[Path, Mapping[str, float]]) -> list[Path]:
        """The best snapshots, best first; of equal ones the newer."""
        sign = 1 if self.mode == "min" else -1
        candidates = [path for path, values in reversed(list(metrics.items())) if self.metric in values]
        return sorted(candidates, key=lambda path: sign * metrics[path][self.metric])[: self.keep]


@dataclass
class Retention:
    """Removes the snapshots of a folder that are not to be kept.

    Args:
        keep: how many of the last, at least one.
        best: which others.
    """

    keep: int = 3
    best: Best | None = None
    _metrics: dict[Path, Mapping[str, float]] = field(default_factory=dict)

    def apply(self, folder: Path) -> list[Path]:
        """Remove what is not to be kept, and return it; only what has a manifest is a snapshot to be removed.

        A snapshot that is not whole does not count among the last, and goes when it is older than those.

        Raises:
            CheckpointError: the system does not let it; its cause is what the system said.
        """
        whole = self.metrics(snapshots(folder))
        last = list(whole)[-self.keep :]
        kept = {*last, *(self.best.among(whole) if self.best else ())}
        older = [path for path in snapshots(folder) if path not in kept and last and path < last[0]]
        doomed = [path for path in older if (path / MANIFEST).is_file()]
        for path in doomed:
            try:
                remove_folder(path)
            except OSError as error:
                raise CheckpointError(
                    f"{str(path)!r} could not be removed: {error}.",
                    f"The last {self.keep} snapshots are kept, and those before are removed.",
                    "Give the folder the permissions it had when the run began.",
                ) from error
        return doomed

    def metrics(self, present: Sequence[Path]) -> dict[Path, Mapping[str, float]]:
        """The metrics of each snapshot that is whole; read once, for a snapshot never changes."""
        for path in present:
            if path not in self._metrics:
                with contextlib.suppress(CheckpointError):
                    self._metrics[path] = read_manifest(path).metrics
        return {path: self._metrics[path] for path in present if path in self._metrics}
