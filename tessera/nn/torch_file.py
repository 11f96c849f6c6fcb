"""PyTorch's own files of tensors: is what a reader would take from one there, and no more than is there?

``torch.load(weights_only=True)`` runs no code of a file. It takes changed bytes for what was written, though, and a
file of a kilobyte can make it fill the memory.
"""

from __future__ import annotations

import io
import pickletools
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

_ZIP = b"PK\3\4"  # by which torch tells its zips from its older files
_OLD_PICKLES = 5  # of an older file: mark, version, machine, what was saved, the names of what follows
_PICKLES = ".pkl"
# What makes as many bytes as a number in the file says. Others take their size from tensors or texts that are there.
_MAKERS = frozenset({"builtins bytearray", "__builtin__ bytearray"})


def check_torch_file(path: Path) -> None:
    """Return if what is in a file is what was written, and reading it takes no more memory than the file has bytes.

    Raises:
        ValueError: it is not so.
        Exception: the file is damaged, in whatever way the readers of its parts see it.
    """
    with path.open("rb") as file:
        if file.read(len(_ZIP)) == _ZIP:
            _check_zip(path)
        else:
            file.seek(0)
            for _ in range(_OLD_PICKLES):
                _check_pickle(file)


def _check_zip(path: Path) -> None:
    with zipfile.ZipFile(path) as file:
        members = file.infolist()
        if sum(member.file_size for member in members) > path.stat().st_size:
            raise ValueError("it is packed, and larger than the file when it is unpacked")
        names = [member.filename.lower() for member in members]  # torch does not tell capitals from small letters
        if len(set(names)) < len(names):
            raise ValueError("two of its members have one name")
        written = any(member.CRC for member in members)  # torch can be told to write no checksums, and reads none
        if written and (changed := file.testzip()) is not None:
            raise zipfile.BadZipFile(f"{changed} has changed since it was written")
        for member in members:
            if member.filename.lower().endswith(_PICKLES):
                del member.CRC  # it was looked at, or is not there
                _check_pickle(io.BytesIO(file.read(member)))


def _check_pickle(file: IO[bytes]) -> None:
    """Return if a pickle, which is read to its end, calls nothing that makes more than the file holds."""
    if called := next((name for name in _called(file) if name in _MAKERS), ""):
        raise ValueError(f"it holds a {called.split()[-1]}")


def _called(file: IO[bytes]) -> Iterator[str]:
    for operation, argument, _ in pickletools.genops(file):
        if operation.name == "GLOBAL":  # the one that torch's reader knows
            yield str(argument)
