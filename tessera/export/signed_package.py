"""Whose package it is: a zip with compiled code carries the hash of all its members, signed by the user who wrote it.

Torch's own loader runs what is in a package, whatever it is. Here nothing is unpacked before every byte is what was
written and its writer is this user, or the hash is one that the user passed.
"""

from __future__ import annotations

import hashlib
import zipfile
import zlib
from pathlib import Path

from tessera.artefact.trust import is_ones_own, sign
from tessera.errors import ExportError

_SIGNATURE = "extra/tessera_signature"
_DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError, KeyError, OSError)


def sign_package(path: Path) -> str:
    """Add this user's signature to a package; returns its hash, for users elsewhere who are to load it."""
    its_hash = _hash(path)
    with zipfile.ZipFile(path, "a", zipfile.ZIP_STORED) as file:
        root = file.namelist()[0].partition("/")[0]
        file.writestr(f"{root}/{_SIGNATURE}", sign(its_hash.encode()))
    return its_hash


def check_package(path: Path, trust: str | None = None) -> None:
    """Return if a package is as it was written, by this user or with the hash ``trust``.

    Raises:
        ExportError: it is damaged, or from elsewhere. Nothing in it was run.
    """
    try:
        its_hash, signature = _hash(path), _signature(path)
    except _DAMAGE as error:
        raise ExportError(
            f"{path} is no package that can be loaded: {error}.",
            "A .pt2 package is a zip file that tessera.export wrote, with not one byte changed.",
            "Copy it again from where it was written, or export the model anew.",
        ) from error
    if trust is None and is_ones_own(its_hash.encode(), signature):
        return
    if trust != its_hash:
        raise ExportError(
            f"{path} was not written by you on this machine, or was changed since; its hash is {its_hash}.",
            "A package holds compiled code, which could do anything that you can do.",
            "If someone you trust wrote it and names this hash, pass it as trust; else export the model anew.",
        )


def _hash(path: Path) -> str:
    """Of the names and bytes of all members but the signature, and of nothing that the zip says besides."""
    digest = hashlib.sha256()
    with zipfile.ZipFile(path) as file:
        names = [name for name in file.namelist() if not name.endswith(f"/{_SIGNATURE}")]
        if len(set(names)) != len(names):
            raise ValueError("a name stands in it twice")
        if any(each.compress_type != zipfile.ZIP_STORED for each in file.infolist()):
            raise ValueError("it is compressed")  # torch stores; what is stored is never larger than the file
        for name in sorted(names):
            content = file.read(name)
            digest.update(f"{len(name.encode())} {name} {len(content)}\n".encode() + content)
    return f"sha256:{digest.hexdigest()}"


def _signature(path: Path) -> str:
    with zipfile.ZipFile(path) as file:
        name = next((name for name in file.namelist() if name.endswith(f"/{_SIGNATURE}")), None)
        return "" if name is None else file.read(name).decode("ascii")
