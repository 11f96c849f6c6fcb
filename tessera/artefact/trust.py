"""Whose file it is: code is only run from files that this user wrote on this machine, or whose hash the user passed.

The signature is an HMAC of the manifest, and the manifest holds the hash of every member. Its key is made by the first
``save`` in the user's cache folder, readable for nobody else, and never leaves it.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import os
import secrets
import stat
from pathlib import Path

from tessera.errors import ArtefactError
from tessera.program.last_report import cache_folder

_KEY = "signing.key"
_BYTES = 32


def sign(written: bytes) -> str:
    """The signature of a manifest by this user; empty where the cache folder cannot hold a key."""
    key = _key(make=True)
    return _signature(key, written) if key else ""


def check_trust(path: Path, written: bytes, its_hash: str, signature: str, trust: str | None) -> None:
    """Return if the user has this file's word or hash.

    Args:
        written: its manifest.
        its_hash: of the manifest, as users write it.
        signature: what stands in the file.
        trust: what the user passed.

    Raises:
        ArtefactError: neither.
    """
    if trust is not None:
        if hmac.compare_digest(trust.encode(), its_hash.encode()):
            return
        raise ArtefactError(
            f"trust={trust!r} was passed for {path}, whose hash is {its_hash}.",
            "Only a file with the hash that is passed is loaded.",
            "Ask whoever saved it for the hash that step.save(path) returned, and load no file with another one.",
        )
    if is_ones_own(written, signature):
        return
    raise ArtefactError(
        f"{path} was not saved by you on this machine, and its hash {its_hash} was not passed.",
        "An artefact holds compiled code, which could do anything that you can do.",
        f'If someone you trust got this hash from step.save(path), write tessera.load(path, ..., trust="{its_hash}").',
    )


def is_ones_own(written: bytes, signature: str) -> bool:
    """Whether this user signed the manifest on this machine."""
    key = _key(make=False)
    return bool(key and signature) and hmac.compare_digest(_signature(key or b"", written), signature)


def _signature(key: bytes, written: bytes) -> str:
    return hmac.new(key, written, hashlib.sha256).hexdigest()


def _key(*, make: bool) -> bytes | None:
    """This user's key. One that others could have read or written is none, and a new one takes its place."""
    with contextlib.suppress(OSError, RuntimeError):
        path = cache_folder() / _KEY
        key = _read(path)
        if key is None and make:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            fresh = path.with_name(f".{_KEY}-{secrets.token_hex(8)}")
            try:
                with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                    file.write(secrets.token_bytes(_BYTES))
                if path.exists():  # shorter than a key, or open to others
                    fresh.replace(path)
                else:
                    with contextlib.suppress(FileExistsError):  # another process was first: its key is ours
                        os.link(fresh, path)
            finally:
                fresh.unlink(missing_ok=True)
            key = _read(path)
        return key
    return None


def _read(path: Path) -> bytes | None:
    try:
        file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return None
    with os.fdopen(file, "rb") as opened:
        found = os.fstat(file)
        private = stat.S_ISREG(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & 0o077
        key = opened.read(_BYTES + 1)
    return key if private and len(key) == _BYTES else None
