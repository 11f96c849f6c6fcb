"""The manifest of a snapshot: what it holds, in which files, and what those files must be. Written last, read first."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from tessera.checkpoint.durable import Digest, digest_of
from tessera.checkpoint.pieces import dtype_named
from tessera.checkpoint.values import Json, tensor_names
from tessera.errors import CheckpointError

MANIFEST = "manifest.json"
FORMAT, VERSION = "tessera.checkpoint", 1

# The manifest is one JSON object; the hash at its front is of the text after `"content":`, without the last brace.
_FRONT = '{"sha256":"%s","content":'
_FRONT_LENGTH = len(_FRONT % ("0" * 64))


@dataclass(frozen=True)
class Chunk:
    """A box of a tensor, and the tensor of a safetensors file that holds it."""

    file: str
    key: str
    offsets: tuple[int, ...]
    sizes: tuple[int, ...]


@dataclass(frozen=True)
class StoredTensor:
    """A tensor of a snapshot: its dtype by torch's name, its whole shape, and the chunks that make it up."""

    dtype: str
    shape: tuple[int, ...]
    chunks: tuple[Chunk, ...]

    @property
    def nbytes(self) -> int:
        """Of the whole tensor in memory."""
        return math.prod(self.shape) * dtype_named(self.dtype).itemsize


@dataclass(frozen=True)
class Manifest:
    """What a snapshot holds.

    Attributes:
        files: by name, what each of them must be.
        tensors: by name.
        values: everything else, and where the tensors belong in it, as ``Flattening`` writes it.
        step: how many steps the run had done; None for a snapshot that belongs to no run.
        metrics: of that step, by name.
        fingerprint: of what the run consists of.
        ranks: how many processes wrote it.
        saved_at: ISO 8601, UTC.
        torch: the version that wrote it.
    """

    files: Mapping[str, Digest]
    tensors: Mapping[str, StoredTensor]
    values: Json
    step: int | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    fingerprint: Json = None
    ranks: int = 1
    saved_at: str = field(default_factory=lambda: dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds"))
    torch: str = torch.__version__

    def to_bytes(self) -> bytes:
        """The file's content."""
        described = {
            "format": FORMAT,
            "version": VERSION,
            **vars(self),
            "files": {name: vars(digest) for name, digest in self.files.items()},
            "tensors": {
                name: {**vars(tensor), "chunks": [vars(chunk) for chunk in tensor.chunks]}
                for name, tensor in self.tensors.items()
            },
        }
        content = json.dumps(described, allow_nan=False, separators=(",", ":")).encode("ascii")
        front = _FRONT % hashlib.sha256(content).hexdigest()
        return front.encode("ascii") + content + b"}\n"

    @property
    def nbytes(self) -> int:
        """Of all files, without the manifest."""
        return sum(digest.size for digest in self.files.values())


def read_manifest(snapshot: Path) -> Manifest:
    """The manifest of a snapshot whose files are all there and as long as they were.

    Raises:
        CheckpointError: it is no snapshot, or not whole; the message says what it is instead.
    """
    try:
        raw = (snapshot / MANIFEST).read_bytes()
    except OSError as error:
        raise _broken(snapshot, f"{MANIFEST} cannot be read ({error.strerror})") from error
    content = _checked_content(snapshot, raw)
    if content.get("format") != FORMAT or content.get("version") != VERSION:
        raise CheckpointError(
            f"{str(snapshot)!r} has the format {content.get('format')} {content.get('version')}.",
            f"This Tessera reads {FORMAT} {VERSION}.",
            "Load it with the version of Tessera that wrote it.",
        )
    try:
        manifest = _parsed(content)
        _check_tensors(manifest)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError, RecursionError) as error:
        raise _broken(snapshot, f"{MANIFEST} is malformed ({type(error).__name__}: {error})") from error
    for name, digest in manifest.files.items():
        try:
            size = (snapshot / name).stat().st_size
        except OSError as error:
            raise _broken(snapshot, f"{name} is missing ({error.strerror})") from error
        if size != digest.size:
            raise _broken(snapshot, f"{name} has {size:,} bytes and was written with {digest.size:,}")
    return manifest


def check_file(snapshot: Path, manifest: Manifest, name: str) -> None:
    """Read a file of a snapshot and compare it with the hash in the manifest.

    Raises:
        CheckpointError: the file is not what was written.
    """
    try:
        found = digest_of(snapshot / name)
    except OSError as error:
        raise _broken(snapshot, f"{name} cannot be read ({error.strerror})") from error
    if found != manifest.files[name]:
        raise _broken(snapshot, f"the content of {name} has changed since it was written")


def _checked_content(snapshot: Path, raw: bytes) -> dict[str, Any]:
    front, content = raw[:_FRONT_LENGTH], raw[_FRONT_LENGTH:-2]
    if front != (_FRONT % hashlib.sha256(content).hexdigest()).encode("ascii") or raw[-2:] != b"}\n":
        if not raw.startswith(b'{"sha256":"'):
            raise _broken(snapshot, f"{MANIFEST} is not one of tessera.checkpoint's")
        raise _broken(snapshot, f"{MANIFEST} is truncated or has changed since it was written")
    try:
        parsed = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise _broken(snapshot, f"{MANIFEST} is malformed ({error})") from error
    return parsed if isinstance(parsed, dict) else {}


def _parsed(content: Mapping[str, Any]) -> Manifest:
    files = {name: Digest(int(digest["size"]), str(digest["sha256"])) for name, digest in content["files"].items()}
    tensors = {
        name: StoredTensor(
            str(tensor["dtype"]),
            tuple(tensor["shape"]),
            tuple(
                Chunk(chunk["file"], chunk["key"], tuple(chunk["offsets"]), tuple(chunk["sizes"]))
                for chunk in tensor["chunks"]
            ),
        )
        for name, tensor in content["tensors"].items()
    }
    step = content["step"]
    return Manifest(
        files=files,
        tensors=tensors,
        values=content["values"],
        step=None if step is None else int(step),
        metrics={name: float(value) for name, value in content["metrics"].items()},
        fingerprint=content["fingerprint"],
        ranks=int(content["ranks"]),
        saved_at=str(content["saved_at"]),
        torch=str(content["torch"]),
    )


def _check_tensors(manifest: Manifest) -> None:
    """Raise ValueError unless each value is there, and is made up of chunks of files in the snapshot's own folder."""
    for name in manifest.files:
        if Path(name).name != name:
            raise ValueError(f"a file is named {name!r}")
    for name, tensor in manifest.tensors.items():
        dtype_named(tensor.dtype)
        for chunk in tensor.chunks:
            boxes = zip(chunk.offsets, chunk.sizes, tensor.shape, strict=True)
            if not all(offset >= 0 and size >= 0 and offset + size <= whole for offset, size, whole in boxes):
                raise ValueError(f"{name} has a chunk outside of its shape")
            if not isinstance(chunk.key, str):
                raise ValueError(f"{name} is under {chunk.key!r}, which is no name")  # noqa: TRY004 - of a file
            if chunk.file not in manifest.files:
                raise ValueError(f"{name} is in {chunk.file!r}, which is not in the list of files")
        if sum(math.prod(chunk.sizes) for chunk in tensor.chunks) != math.prod(tensor.shape):
            raise ValueError(f"the chunks of {name} do not make up its shape")
    if not (isinstance(manifest.values, dict) and isinstance(manifest.values.get("dict"), dict)):
        raise ValueError("the values have no names")  # noqa: TRY004 - of a file, not of an argument
    absent = set(tensor_names(manifest.values)) - manifest.tensors.keys()
    if absent:
        raise ValueError(f"{min(absent)} is not in the list of tensors")


def _broken(snapshot: Path, reason: str) -> CheckpointError:
    return CheckpointError(
        f"{str(snapshot)!r} is not a whole snapshot: {reason}.",
        "A snapshot has every file with the size and hash of its manifest.",
        "Load the last good one, tessera.checkpoint.latest(folder), or copy this one again from where it was saved.",
    )
