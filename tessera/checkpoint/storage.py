"""Where torch.distributed.checkpoint writes snapshots to and reads them from: safetensors and JSON, no pickle."""

from __future__ import annotations

import contextlib
import dataclasses
import json
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch.distributed.checkpoint.metadata import (
    ChunkStorageMetadata,
    Metadata,
    MetadataIndex,
    StorageMeta,
    TensorProperties,
    TensorStorageMetadata,
)
from torch.distributed.checkpoint.planner import LoadPlan, LoadPlanner, ReadItem, SavePlan, SavePlanner
from torch.distributed.checkpoint.storage import StorageReader, StorageWriter, WriteResult
from torch.futures import Future

from tessera.checkpoint.durable import Digest, rename_to_next, sync_folder, write_file
from tessera.checkpoint.manifest import MANIFEST, Chunk, Manifest, StoredTensor, check_file
from tessera.checkpoint.payload import contents, header, in_file_order, restored, stored, stored_shape
from tessera.checkpoint.pieces import dtype_named
from tessera.errors import CheckpointError

SNAPSHOT = "snapshot-"


@dataclasses.dataclass(frozen=True)
class _Written:
    """What ``WriteResult`` says of a chunk beside its index."""

    file: str
    key: str
    digest: Digest


class SnapshotWriter(StorageWriter):
    """Writes one snapshot: a safetensors file a rank, then the manifest, then the name that makes it a snapshot.

    Args:
        unfinished: called on the coordinator alone, gives the folder to write in.
        describe: the manifest without files and tensors, given the values that the ranks agreed on.
    """

    def __init__(self, unfinished: Callable[[], Path], describe: Callable[[Any], Manifest]) -> None:
        self._unfinished, self._describe = unfinished, describe

    def reset(self, checkpoint_id: object = None) -> None:
        """There is nothing to begin anew: a writer writes once."""

    def set_up_storage_writer(self, is_coordinator: bool, *args: Any, **kwargs: Any) -> None:
        """All there is to know comes with the plans."""

    def prepare_local_plan(self, plan: SavePlan) -> SavePlan:
        return plan

    def prepare_global_plan(self, plans: list[SavePlan]) -> list[SavePlan]:
        self._folder, self._ranks = self._unfinished(), len(plans)
        names = (f"tensors-{rank:05d}-of-{len(plans):05d}.safetensors" for rank in range(1, len(plans) + 1))
        return [
            dataclasses.replace(plan, storage_data=self._folder / name) for plan, name in zip(plans, names, strict=True)
        ]

    def write_data(self, plan: SavePlan, planner: SavePlanner) -> Future[list[WriteResult]]:
        path: Path = plan.storage_data
        met: Counter[str] = Counter()
        keys: list[str] = []
        for item in plan.items:  # a second chunk of one tensor gets a key of its own
            met[item.index.fqn] += 1
            keys.append(item.index.fqn if met[item.index.fqn] == 1 else f"{item.index.fqn}#{met[item.index.fqn]}")
        tensors = {
            key: stored(planner.resolve_data(item))  # type: ignore[arg-type]  # our planner gives tensors only
            for key, item in zip(keys, plan.items, strict=True)
        }
        # The chunks' places under the key where torch's own HuggingFaceStorageReader looks for them.
        offsets = {key: {"saved_offsets": item.index.offset} for key, item in zip(keys, plan.items, strict=True)}
        results = []
        if tensors:
            tensors = in_file_order(tensors)
            head = header(tensors, {"format": "pt", "DCP_VERSION": "1.0", "DCP_SHARDING_INFO": json.dumps(offsets)})
            digest = write_file(path, (head, *map(contents, tensors.values())))
            results = [
                WriteResult(item.index, tensors[key].nbytes, _Written(path.name, key, digest))
                for key, item in zip(keys, plan.items, strict=True)
            ]
        done: Future[list[WriteResult]] = Future()
        done.set_result(results)
        return done

    def finish(self, metadata: Metadata, results: list[list[WriteResult]]) -> None:
        written = {result.index: result.storage_data for of_rank in results for result in of_rank}
        manifest = dataclasses.replace(
            self._describe(metadata.planner_data),
            files={place.file: place.digest for place in written.values()},
            tensors={
                name: _described(name, tensor, written)
                for name, tensor in metadata.state_dict_metadata.items()
                if isinstance(tensor, TensorStorageMetadata)
            },
            ranks=self._ranks,
        )
        write_file(self._folder / MANIFEST, [manifest.to_bytes()])
        sync_folder(self._folder)
        snapshot = rename_to_next(self._folder, SNAPSHOT)
        metadata.storage_meta = StorageMeta(checkpoint_id=snapshot)  # goes to every rank

    @classmethod
    def validate_checkpoint_id(cls, checkpoint_id: object) -> bool:  # noqa: ARG003 - torch's interface
        return False  # never chosen by a path: it is made for one snapshot


class SnapshotReader(StorageReader):
    """Reads tensors of one snapshot; a file is compared with its hash before anything in it is used."""

    def __init__(self, snapshot: Path, manifest: Manifest) -> None:
        self._snapshot, self._manifest = snapshot, manifest
        self._chunks = {
            MetadataIndex(name, chunk.offsets): (chunk, tensor)
            for name, tensor in manifest.tensors.items()
            for chunk in tensor.chunks
        }

    def reset(self, checkpoint_id: object = None) -> None:
        """There is nothing to begin anew: a reader reads once."""

    def read_metadata(self, *args: Any, **kwargs: Any) -> Metadata:
        return Metadata({name: _metadata(tensor) for name, tensor in self._manifest.tensors.items()})

    def set_up_storage_reader(self, metadata: Metadata, is_coordinator: bool, *args: Any, **kwargs: Any) -> None:
        """All there is to know is in the manifest."""

    def prepare_local_plan(self, plan: LoadPlan) -> LoadPlan:
        return plan

    def prepare_global_plan(self, plans: list[LoadPlan]) -> list[LoadPlan]:
        return plans

    def read_data(self, plan: LoadPlan, planner: LoadPlanner) -> Future[None]:
        wanted: dict[str, list[ReadItem]] = {}
        for item in plan.items:
            wanted.setdefault(self._chunks[item.storage_index][0].file, []).append(item)
        for name, items in wanted.items():
            check_file(self._snapshot, self._manifest, name)
            with self._opened(name) as file:
                for item in items:
                    chunk, tensor = self._chunks[item.storage_index]
                    target = planner.resolve_tensor(item).detach()
                    target.copy_(_read(file, chunk, tensor, item))
                    planner.commit_tensor(item, target)
        done: Future[None] = Future()
        done.set_result(None)
        return done

    @contextlib.contextmanager
    def _opened(self, name: str) -> Iterator[Any]:
        try:
            with safe_open(self._snapshot / name, framework="pt") as file:
                yield file
        except (OSError, SafetensorError, KeyError, IndexError, ValueError) as error:
            raise CheckpointError(
                f"{name} of {str(self._snapshot)!r} does not hold what the manifest says ({error}).",
                "Every chunk of a tensor is in the file, under the key and of the size in the manifest.",
                "Load the last good snapshot, tessera.checkpoint.latest(folder).",
            ) from error

    @classmethod
    def validate_checkpoint_id(cls, checkpoint_id: object) -> bool:  # noqa: ARG003 - torch's interface
        return False  # never chosen by a path: it is made for one snapshot


def _described(name: str, tensor: TensorStorageMetadata, written: dict[MetadataIndex, _Written]) -> StoredTensor:
    places = [(chunk, written[MetadataIndex(name, chunk.offsets)]) for chunk in tensor.chunks]
    return StoredTensor(
        str(tensor.properties.dtype).removeprefix("torch."),
        tuple(tensor.size),
        tuple(Chunk(place.file, place.key, tuple(chunk.offsets), tuple(chunk.sizes)) for chunk, place in places),
    )


def _metadata(tensor: StoredTensor) -> TensorStorageMetadata:
    return TensorStorageMetadata(
        TensorProperties(dtype=dtype_named(tensor.dtype)),
        torch.Size(tensor.shape),
        [ChunkStorageMetadata(torch.Size(chunk.offsets), torch.Size(chunk.sizes)) for chunk in tensor.chunks],
    )


def _read(file: Any, chunk: Chunk, tensor: StoredTensor, item: ReadItem) -> torch.Tensor:
    """The box of a chunk that ``item`` asks for."""
    dtype = dtype_named(tensor.dtype)
    piece = file.get_slice(chunk.key)
    if list(piece.get_shape()) != stored_shape(chunk.sizes, dtype):
        raise ValueError(f"{chunk.key} has the shape {piece.get_shape()}")
    box = tuple(slice(start, start + length) for start, length in zip(item.storage_offsets, item.lengths, strict=True))
    return restored(piece[box] if box else file.get_tensor(chunk.key), dtype)
