"""Finds snapshots: those in a folder, the one that a path means, and the last that is good."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from pathlib import Path

from tessera.checkpoint.durable import numbered
from tessera.checkpoint.manifest import MANIFEST, Manifest, check_file, read_manifest
from tessera.checkpoint.storage import SNAPSHOT
from tessera.errors import CheckpointError

_log = logging.getLogger(__name__)

# What other programs' checkpoints are recognised by, and how they are read.
_FOREIGN = {
    ".metadata": (
        "a checkpoint of torch.distributed.checkpoint, whose metadata is a pickle",
        "Load it with torch.distributed.checkpoint.load, then save it with tessera.checkpoint.save.",
    ),
    "model.safetensors.index.json": (
        "weights in Hugging Face's layout",
        "Write model.load(path), or tessera.checkpoint.load_weights(model, path).",
    ),
    "model.safetensors": (
        "weights as safetensors",
        "Write model.load(path), or tessera.checkpoint.load_weights(model, path).",
    ),
    "pytorch_model.bin": (
        "weights of Hugging Face's older format",
        "Write model.load(path), or tessera.checkpoint.load_weights(model, path).",
    ),
    "_CHECKPOINT_METADATA": ("a checkpoint of Orbax", "Load it with Orbax, then save it with tessera.checkpoint.save."),
}


def snapshots(folder: Path) -> list[Path]:
    """The snapshots in a folder, good or not, in the order in which they were saved."""
    try:
        return [path for _, path in numbered(folder, SNAPSHOT)]
    except (FileNotFoundError, NotADirectoryError):
        return []


def find(path: Path) -> Path:
    """The snapshot that a path means: the folder of one, or the newest in a folder of them.

    Raises:
        CheckpointError: there is none; the message says what is there instead.
    """
    if (path / MANIFEST).is_file() or path.name.startswith(SNAPSHOT):
        return path
    found = snapshots(path)
    if found:
        return found[-1]
    reason, repair = _absence(path)
    raise CheckpointError(
        f"There is no snapshot in {str(path)!r}: {reason}.",
        "A snapshot is a folder that tessera.checkpoint.save made, or the folder that it was made in.",
        repair,
    )


def latest(folder: str | os.PathLike[str], /) -> Path | None:
    """The newest snapshot in ``folder`` whose files are all as they were written; None where there is none.

    Every file is read and compared with its hash. What is not whole is passed over, and said in the log. A folder
    without snapshots of its own is looked through one level down, by the time of saving.
    """
    path = Path(folder)
    while True:
        candidates = [path] if (path / MANIFEST).is_file() else snapshots(path) or _one_level_down(path)
        good = last_good(candidates)
        # Where one was removed meanwhile, because there are newer ones, the newest is another by now.
        if good is not None or all(candidate.exists() for candidate in candidates):
            return good


def last_good(candidates: Sequence[Path]) -> Path | None:
    """The last of some snapshots whose files are all as they were written; what is passed over is said in the log."""
    return next((snapshot for snapshot in reversed(candidates) if _is_good(snapshot)), None)


def checked(snapshot: Path) -> Manifest:
    """The manifest of a snapshot, every file of which has been read and compared with its hash.

    Raises:
        CheckpointError: it is not whole.
    """
    manifest = read_manifest(snapshot)
    for name in manifest.files:
        check_file(snapshot, manifest, name)
    return manifest


def _one_level_down(path: Path) -> list[Path]:
    folders = [inner for inner in path.iterdir() if not inner.name.startswith(".")] if path.is_dir() else []
    return sorted((snapshot for inner in folders for snapshot in snapshots(inner)), key=_saved_at)


def _is_good(snapshot: Path) -> bool:
    try:
        checked(snapshot)
    except CheckpointError as error:
        _log.warning("Passed over: %s", error.received)
        return False
    return True


def _saved_at(snapshot: Path) -> str:
    try:
        return read_manifest(snapshot).saved_at
    except CheckpointError:
        return ""


def _absence(path: Path) -> tuple[str, str]:
    if not path.exists():
        return "there is no such folder", "Write the folder that it was saved to."
    if not path.is_dir():
        return "it is a file", "Weights in a file are loaded with model.load(path); a snapshot is a folder."
    for name, (what, repair) in _FOREIGN.items():
        if (path / name).exists():
            return f"it holds {what}", repair
    return "nothing was saved there, or the first save was not finished", "Write the folder that it was saved to."
