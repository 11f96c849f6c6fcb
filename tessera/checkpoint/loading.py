"""Loads a snapshot: tensors through torch.distributed.checkpoint, every file compared with its hash first."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.default_planner import DefaultLoadPlanner

from tessera.checkpoint.finding import find, snapshots
from tessera.checkpoint.manifest import Manifest, check_file, read_manifest
from tessera.checkpoint.pieces import dtype_named
from tessera.checkpoint.storage import SnapshotReader
from tessera.checkpoint.values import unflatten
from tessera.errors import CheckpointError
from tessera.torch_internals import load_alone


def load(folder: str | os.PathLike[str], /) -> dict[str, Any]:
    """The state that ``save`` was given, by the same names.

    What had a ``state_dict()`` comes back as that: ``model.load_state_dict(load(folder)["model"])``; `restore` does it
    for you, whole or in part. Tensors are whole, on the CPU and without gradient, whatever ranks and devices they were
    saved from; tied ones are one and the same tensor.

    Args:
        folder: a snapshot, or a folder of snapshots: then the newest.

    Raises:
        CheckpointError: there is no snapshot, or it is truncated, altered or of another format. Nothing in it was
            used; ``latest(folder)`` is the last good one.
    """
    path = Path(folder)
    while True:
        snapshot = find(path)
        try:
            return _loaded(snapshot)
        except CheckpointError:
            # Another process may have removed it because there are newer ones: then the newest is another by now.
            if snapshot.exists() or not snapshots(path):
                raise


def _loaded(snapshot: Path) -> dict[str, Any]:
    manifest = read_manifest(snapshot)
    tensors = {
        name: torch.empty(tensor.shape, dtype=dtype_named(tensor.dtype), device="cpu")
        for name, tensor in manifest.tensors.items()
    }
    read_tensors(snapshot, manifest, tensors)
    return unflatten(manifest.values, tensors)


def read_tensors(snapshot: Path, manifest: Manifest, into: Mapping[str, Tensor]) -> None:
    """Fill tensors, by their names in the snapshot; of a DTensor only the part of this rank is read.

    Raises:
        CheckpointError: a file that is needed has changed since it was written.
    """
    planner = DefaultLoadPlanner(flatten_state_dict=False, flatten_sharded_tensors=False)
    try:
        with torch.device("cpu"):  # safetensors makes tensors on torch's default device, which may be another
            load_alone(dict(into), SnapshotReader(snapshot, manifest), planner)
    except CheckpointException as failure:
        raise next(error for error, _ in failure.failures.values()) from None
    if into.keys() == manifest.tensors.keys():  # then no file goes unread, not even one of empty tensors
        needed = {chunk.file for tensor in manifest.tensors.values() if tensor.nbytes for chunk in tensor.chunks}
        for name in manifest.files.keys() - needed:
            check_file(snapshot, manifest, name)
