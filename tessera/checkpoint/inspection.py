"""What a snapshot holds, without loading it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tessera.checkpoint.finding import find, snapshots
from tessera.checkpoint.manifest import Manifest, StoredTensor, read_manifest
from tessera.checkpoint.values import Json, tensor_names
from tessera.errors import CheckpointError

_UNITS = ((1e9, "GB"), (1e6, "MB"), (1e3, "kB"), (1, "B"))


@dataclass(frozen=True)
class Inspection:
    """A snapshot from the outside; ``print`` it.

    Attributes:
        path: of the snapshot.
        tensors: dtype, shape and files, by name.
        names: of what was saved, each with its own number of bytes in tensors.
        step: how many steps the run had done; None for what ``save`` saved.
        metrics: of that step.
        saved_at: ISO 8601, UTC.
        nbytes: of the files of tensors.
        ranks: how many processes saved it.
        others: the other snapshots in the same folder, with the reason why one is not whole, "" for a whole one.
    """

    path: Path
    tensors: Mapping[str, StoredTensor]
    names: Mapping[str, int]
    step: int | None
    metrics: Mapping[str, float]
    saved_at: str
    nbytes: int
    ranks: int
    others: Mapping[Path, str]

    def __str__(self) -> str:
        told = [f"step {self.step}"] if self.step is not None else []
        told += [f"{name} {value:g}" for name, value in self.metrics.items()]
        ranks = "1 rank" if self.ranks == 1 else f"{self.ranks} ranks"
        lines = [f"{self.path}: {', '.join([*told, size(self.nbytes), ranks, self.saved_at])}"]
        lines += [f"  {name}  {size(nbytes)}" for name, nbytes in self.names.items()]
        width = max(map(len, self.tensors), default=0)
        lines += [
            f"    {name.ljust(width)}  {tensor.dtype}{list(tensor.shape)}" for name, tensor in self.tensors.items()
        ]
        lines += [f"{path}: {reason or 'whole'}" for path, reason in self.others.items()]
        return "\n".join(lines)


def inspect(folder: str | os.PathLike[str], /) -> Inspection:
    """Read the manifest of a snapshot; no tensor is read, and no hash compared but the manifest's own.

    Args:
        folder: a snapshot, or a folder of them: then the newest, and a line for each of the others.

    Raises:
        CheckpointError: there is no snapshot, or the newest is not whole.
    """
    path = find(Path(folder))
    manifest = read_manifest(path)
    return Inspection(
        path,
        manifest.tensors,
        {name: _nbytes(manifest, value) for name, value in manifest.values["dict"].items()},
        manifest.step,
        manifest.metrics,
        manifest.saved_at,
        manifest.nbytes,
        manifest.ranks,
        {other: _problem(other) for other in snapshots(Path(folder)) if other != path},
    )


def size(nbytes: int) -> str:
    """Three digits and a unit."""
    scale, unit = next(((scale, unit) for scale, unit in _UNITS if nbytes >= scale), _UNITS[-1])
    return f"{nbytes / scale:.3g} {unit}"


def _nbytes(manifest: Manifest, value: Json) -> int:
    return sum(manifest.tensors[name].nbytes for name in set(tensor_names(value)))


def _problem(snapshot: Path) -> str:
    try:
        read_manifest(snapshot)
    except CheckpointError as error:
        return error.received
    return ""
