"""The file: a zip of members under a manifest that holds the hash of each, and a signature of the manifest.

    manifest.json   what the file is, in plain values; ``members`` has size and SHA-256 of all that follow
    signature       who wrote the manifest, see ``trust``
    code/<hash>.py, code/<hash>.so, data/<hash>

Nothing is unpickled and nothing is unpacked to a name that stands in the file. A member is read up to the size that
its manifest gives, and only what has its hash is handed out.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tessera.artefact.placing import place
from tessera.artefact.trust import check_trust, sign
from tessera.errors import ArtefactError

FORMAT = 1
_MANIFEST, _SIGNATURE = "manifest.json", "signature"
_LARGEST_MANIFEST, _LARGEST_MEMBER = 16 << 20, 4 << 30  # bytes; empty lists take twenty times theirs in memory
_DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError, KeyError, TypeError)


class Members:
    """What is to stand in a file beside the manifest; equal bytes stand there once."""

    def __init__(self) -> None:
        self.content: dict[str, bytes] = {}

    def add(self, content: bytes, folder: str = "data", suffix: str = "") -> str:
        """Add bytes; returns the name that they have in the file."""
        name = f"{folder}/{hashlib.sha256(content).hexdigest()[:32]}{suffix}"
        self.content[name] = content
        return name


@dataclass(frozen=True)
class Archive:
    """A file that was read: its manifest, and its members where their bytes are what the manifest says.

    Attributes:
        hash: of the manifest, as users write it.
        written: the manifest as it stands in the file.
        signature: what stands in the file; nobody has looked at it yet.
    """

    path: Path
    manifest: dict[str, Any]
    hash: str
    written: bytes
    signature: str
    _whole: bytes

    def read(self, name: str) -> bytes:
        """A member's bytes.

        Raises:
            ArtefactError: it is not there, or not what was written.
        """
        try:
            expected = self.manifest["members"][name]
            content = _member(self._whole, name, int(expected["size"]))
            if hashlib.sha256(content).hexdigest() != expected["sha256"]:
                raise ValueError("its hash is another one")
        except _DAMAGE as error:
            raise _damaged(self.path, f"{name} cannot be read: {_reason(error)}") from error
        return content


def write_archive(path: Path, manifest: Mapping[str, Any], members: Members) -> str:
    """Write a file, signed by this user, and wait until it is on the disk. Returns its hash, that of the manifest.

    Raises:
        OSError: the disk is full, or whatever else the system says; what stood there before is as it was.
    """
    described = {
        name: {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        for name, content in members.content.items()
    }
    written = json.dumps({"format": FORMAT, **manifest, "members": described}, indent=1).encode()
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=3) as file:
        file.writestr(_MANIFEST, written)
        file.writestr(_SIGNATURE, sign(written))
        for name, content in members.content.items():
            file.writestr(name, content)
    place(path, buffer.getvalue())
    return hash_of(written)


def read_archive(path: str | Path, trust: str | None = None) -> Archive:
    """Read a file that this user wrote on this machine, or whose hash is ``trust``: ``"sha256:..."``.

    Raises:
        ArtefactError: it is no such file, damaged, of another format, or not trusted. Nothing in it was run.
    """
    archive = inspect_archive(path)
    check_trust(archive.path, archive.written, archive.hash, archive.signature, trust)
    return archive


def inspect_archive(path: str | Path) -> Archive:
    """Read a file to look at it, trusted or not: nothing of what it returns may be run.

    Raises:
        ArtefactError: it is no such file, damaged, or of another format.
    """
    path = Path(path)
    try:
        whole = path.read_bytes()
    except OSError as error:
        raise ArtefactError(
            f"{path} cannot be read: {error.strerror}.",
            "An artefact is a file that step.save(path) wrote.",
            "Write its path, or save one: step.save('step.tessera') after the first call of the step.",
        ) from error
    try:
        written = _member(whole, _MANIFEST, _LARGEST_MANIFEST, exactly=False)
        signature = _member(whole, _SIGNATURE, 1 << 10, exactly=False).decode("ascii")
        manifest = dict(json.loads(written))
        dict.keys(manifest["members"])
    except (*_DAMAGE, RecursionError) as error:
        raise _damaged(path, f"it is damaged, or something else: {_reason(error)}") from error
    if manifest.get("format") != FORMAT:
        raise ArtefactError(
            f"{path} has the format {manifest.get('format')!r}.",
            f"This version of Tessera reads the format {FORMAT}.",
            "Save it again with this version: compile the step once, and call step.save(path).",
        )
    return Archive(path, manifest, hash_of(written), written, signature, whole)


def hash_of(written: bytes) -> str:
    """The hash of a manifest as users write it."""
    return f"sha256:{hashlib.sha256(written).hexdigest()}"


def _member(whole: bytes, name: str, size: int, *, exactly: bool = True) -> bytes:
    """Not more than ``size`` bytes of a member, whatever the zip says of it."""
    if not 0 <= size <= _LARGEST_MEMBER:
        raise ValueError(f"a size of {size}")
    with contextlib.closing(zipfile.ZipFile(io.BytesIO(whole))) as file:
        if file.namelist().count(name) != 1:
            raise KeyError(f"it stands there {file.namelist().count(name)} times")
        with file.open(name) as member:
            content = member.read(size + 1)
    if len(content) > size or (exactly and len(content) < size):
        raise ValueError("its size is another one")
    return content


def _damaged(path: Path, what: str) -> ArtefactError:
    return ArtefactError(
        f"{path} is no artefact that can be loaded: {what.removesuffix('.')}.",
        "An artefact is a file that step.save(path) wrote, with not one byte changed.",
        "Copy it again from where it was saved, or compile the step once and save it anew.",
    )


def _reason(error: Exception) -> str:
    return str(error.args[0] if error.args else type(error).__name__)
