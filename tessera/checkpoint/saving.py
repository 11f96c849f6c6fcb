"""Saves state as a snapshot: a consistent copy first, then files that become a snapshot all at once or not at all."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch.distributed.checkpoint.api import CheckpointException

from tessera.checkpoint.durable import make_folder, remove_leftovers, unfinished_folder
from tessera.checkpoint.manifest import Manifest
from tessera.checkpoint.planning import SnapshotPlanner
from tessera.checkpoint.staging import StagedTensors, Stager
from tessera.checkpoint.storage import SnapshotWriter
from tessera.checkpoint.values import Flattening, Json
from tessera.errors import CheckpointError, TesseraError
from tessera.torch_internals import save_distributed


@dataclass(frozen=True)
class StagedState:
    """State as it was at one moment: nothing that happens to the objects afterwards changes it."""

    tensors: StagedTensors
    values: Json


def save(folder: str | os.PathLike[str], /, **state: Any) -> Path:
    """Save ``state`` as a new snapshot in ``folder``, beside those that are there.

    Wherever the process or the machine stops, the folder holds whole snapshots: the earlier ones, and this one or not.
    Across ranks every rank calls it with its own shards (DTensor). A tensor that is not sharded is taken from rank 0;
    any other value has to be the same on all ranks that have its key.

    Args:
        folder: made if it is not there. It may be shared by processes that save at the same time.
        state: by name. Tensors of any dense dtype, tied ones stay tied; None, bool, int, float, complex, str, bytes,
            numpy arrays and scalars, dtypes, devices; dicts, lists and tuples of them; objects with a
            ``state_dict()`` of them (modules, optimizers, schedulers, loaders) and random generators.

    Returns:
        The snapshot, a folder in ``folder``.

    Raises:
        StateError: something else is in it; the message names the key.
        CheckpointError: it could not be written; the snapshots that were there are untouched.

    Example:
        >>> import tempfile
        >>> from tessera.checkpoint import load
        >>> folder, model = tempfile.mkdtemp(), torch.nn.Linear(2, 1)
        >>> snapshot = save(folder, model=model, best=0.25, sizes=(2, 1))
        >>> model.load_state_dict(load(folder)["model"])
        <All keys matched successfully>
    """
    return write_snapshot(Path(folder), staged_state(state, Stager()), lambda values: Manifest({}, {}, values))


def staged_state(state: Mapping[str, Any], stager: Stager) -> StagedState:
    """A consistent copy of ``state``; its tensors are in the buffers of ``stager``, until that stages again.

    Raises:
        StateError: as ``save``.
    """
    found = Flattening()
    values = {"dict": {name: found.flatten(value, name) for name, value in state.items()}}
    return StagedState(stager.stage(found.tensors), values)


def write_snapshot(folder: Path, state: StagedState, describe: Callable[[Json], Manifest], group: Any = None) -> Path:
    """Write staged state as a new snapshot in ``folder``, on all ranks of ``group`` together.

    Raises:
        CheckpointError: it could not be written; its cause is what the system said.
    """
    state.tensors.wait()
    alone = not (torch.distributed.is_available() and torch.distributed.is_initialized())
    with contextlib.ExitStack() as stack:  # what is not a snapshot in the end is removed

        def unfinished() -> Path:
            make_folder(folder)
            remove_leftovers(folder)
            return stack.enter_context(unfinished_folder(folder))

        writer = SnapshotWriter(unfinished, describe)
        planner = SnapshotPlanner(state.tensors, state.values)
        try:
            metadata = save_distributed(dict(state.tensors.copies), writer, planner, group=group, alone=alone)
        except CheckpointException as failure:
            error, cause = _explained(folder, failure)
            raise error from cause
    return Path(metadata.storage_meta.checkpoint_id)


def _explained(folder: Path, failure: CheckpointException) -> tuple[BaseException, BaseException | None]:
    """What a user should see of an error that torch wrapped, of whichever rank it is, and its cause."""
    errors = {rank: error for rank, (error, _) in failure.failures.items()}
    ours = [error for error in errors.values() if isinstance(error, TesseraError)]
    first = next(iter(errors.values()))
    if ours or not isinstance(first, OSError):
        error = ours[0] if ours else first
        return error, error.__cause__
    where = "" if list(errors) == [0] else f" (rank {', '.join(map(str, errors))})"
    explained = CheckpointError(
        f"No snapshot could be written to {str(folder)!r}: {first}{where}.",
        "Saving needs a folder that can be written to and room for one more snapshot; those that were there are "
        "untouched.",
        "Make room, or write another folder.",
    )
    return explained, first
