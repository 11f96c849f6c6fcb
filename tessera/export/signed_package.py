"""Whose package it is: a zip with compiled code ends in the signature of the user who wrote it, over every byte before.

Torch's own loader runs what is in a package, whatever it is. Here nothing is handed to it before every byte is what was
written and its writer is this user, or the hash is one that the user passed. The signature is the comment of the zip;
the bytes are signed rather than the members, for two readers of one zip can see different members in it.
"""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path

from tessera.artefact.trust import is_ones_own, sign
from tessera.errors import ExportError

_MARK = b"tessera signature "
_LENGTH = 64  # of a signature, in hexadecimal digits


def sign_package(path: Path) -> str:
    """Sign a package in place; returns its hash, for users elsewhere who are to load it."""
    with zipfile.ZipFile(path, "a") as file:
        file.comment = _MARK + b"0" * _LENGTH
    whole = path.read_bytes()
    its_hash = _hash(whole)
    path.write_bytes(whole[:-_LENGTH] + sign(its_hash.encode()).encode().ljust(_LENGTH, b"0"))
    return its_hash


def check_package(path: Path, trust: str | None = None) -> None:
    """Return if a package is as it was written, by this user or with the hash ``trust``.

    Raises:
        ExportError: it is damaged, or from elsewhere. Nothing in it was run.
    """
    try:
        whole = path.read_bytes()
    except OSError as error:
        raise ExportError(
            f"{path} cannot be read: {error.strerror}.",
            "A .pt2 package is a file that tessera.export wrote.",
            "Write the path that the model was exported to.",
        ) from error
    its_hash = _hash(whole)
    signed = whole[:-_LENGTH].endswith(_MARK)
    signature = whole[-_LENGTH:].decode("ascii", "ignore") if signed else ""
    if trust is None and is_ones_own(its_hash.encode(), signature):
        return
    if trust != its_hash:
        raise ExportError(
            f"{path} was not written by you on this machine, or was changed since; its hash is {its_hash}.",
            "A package holds compiled code, which could do anything that you can do.",
            "If someone you trust wrote it and names this hash, pass it as trust; else export the model anew.",
        )


def _hash(whole: bytes) -> str:
    """Of every byte before the signature."""
    return f"sha256:{hashlib.sha256(whole[:-_LENGTH]).hexdigest()}"
