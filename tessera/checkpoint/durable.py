"""Files and folders that are on the disk, whole, when a function here returns: written, hashed, synced, renamed."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import mmap
import os
import re
import shutil
import uuid
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tessera.errors import CheckpointError

_PIECE = 1 << 21  # bytes hashed and then written, while they are in the processor's cache
_UNFINISHED, _REMOVED = ".unfinished-", ".removed-"


@dataclass(frozen=True)
class Digest:
    """What a file must be to be the file that was written: its size in bytes and the SHA-256 of its content."""

    size: int
    sha256: str


def write_file(path: Path, pieces: Iterable[bytes | memoryview]) -> Digest:
    """Write a new file and wait until it is on the disk.

    The bytes go past the system's cache of files where it can be (O_DIRECT): a copy there costs processor time and the
    memory that the training's data is cached in, and nobody is about to read it.

    Raises:
        OSError: the disk is full, or whatever else the system says.
    """
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    _bypass_cache(file, on=True)
    content, size = hashlib.sha256(), 0
    try:
        for piece in _evenly(pieces):
            content.update(piece)
            size += len(piece)
            _write(file, piece)
        os.fsync(file)
    finally:
        os.close(file)
    return Digest(size, content.hexdigest())


def digest_of(path: Path) -> Digest:
    """The digest of a file as it is now.

    Raises:
        OSError: it cannot be read.
    """
    content, size = hashlib.sha256(), 0
    buffer = bytearray(_PIECE)
    with path.open("rb", buffering=0) as file:
        while taken := file.readinto(buffer):
            content.update(memoryview(buffer)[:taken])
            size += taken
    return Digest(size, content.hexdigest())


def make_folder(path: Path) -> None:
    """Make a folder and those above it that are not there, each entered in the one above on the disk."""
    if path.is_dir():
        return
    make_folder(path.parent)
    with contextlib.suppress(FileExistsError):  # made by another process in the meantime
        path.mkdir()
    sync_folder(path.parent)


def sync_folder(path: Path) -> None:
    """Wait until the names in a folder are on the disk."""
    folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def remove_folder(path: Path) -> None:
    """Remove a folder: first its name, at once, then what it holds. One that is gone already is removed."""
    doomed = path.with_name(f"{_REMOVED}{uuid.uuid4().hex}")
    with contextlib.suppress(FileNotFoundError):
        os.rename(path, doomed)  # noqa: PTH104 - see `rename_folder`
        shutil.rmtree(doomed, ignore_errors=True)


@contextlib.contextmanager
def unfinished_folder(parent: Path) -> Iterator[Path]:
    """A new folder to write in. What is left of it in the end, unless it was renamed, is removed where it can be.

    It is locked while its process lives, so that ``remove_leftovers`` of another process leaves it alone.
    """
    path, lock = _locked(lambda: _made(parent / f"{_UNFINISHED}{uuid.uuid4().hex}"))
    try:
        yield path
    finally:
        # A disk that lets nothing be written lets nothing be removed either: the first error is the one to be told.
        with contextlib.suppress(OSError):
            if path.exists():
                remove_folder(path)
        _unlock(lock)


def remove_leftovers(parent: Path) -> None:
    """Remove what processes that were killed left behind: folders that nobody writes in, and half removed ones."""
    for path in parent.iterdir():
        if path.name.startswith(_REMOVED):
            shutil.rmtree(path, ignore_errors=True)
        elif path.name.startswith(_UNFINISHED):
            with contextlib.suppress(OSError):  # locked by its writer, gone, or on a disk without locks: left alone
                lock = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    remove_folder(path)
                finally:
                    os.close(lock)


def rename_to_next(path: Path, prefix: str) -> Path:
    """Rename a folder to ``prefix`` and the number after the highest beside it, and wait until the disk has it.

    Two processes never get the same number: a folder cannot take the name of one that holds files.

    Raises:
        OSError: whatever the system says.
    """
    number = max((number for number, _ in numbered(path.parent, prefix)), default=0)
    while True:
        number += 1
        name = path.with_name(f"{prefix}{number:06d}")
        try:
            os.rename(path, name)  # noqa: PTH104 - the one call that commits stands here as the system knows it
        except OSError:
            if not name.exists():
                raise
        else:
            sync_folder(path.parent)
            return name


def numbered(parent: Path, prefix: str) -> list[tuple[int, Path]]:
    """The folders that ``rename_to_next`` made, by rising number."""
    pattern = re.compile(re.escape(prefix) + r"(\d{6,})")
    found = [(match, path) for path in parent.iterdir() if (match := pattern.fullmatch(path.name)) and path.is_dir()]
    return sorted((int(match.group(1)), path) for match, path in found)


def _evenly(pieces: Iterable[bytes | memoryview]) -> Iterator[memoryview]:
    """The same bytes in pieces of one size, but for the last; each is valid until the next is asked for."""
    buffer = memoryview(mmap.mmap(-1, _PIECE))  # begins at a page, as writing past the cache needs it
    filled = 0
    for piece in pieces:
        left = memoryview(piece)
        while left:
            taken = min(len(left), _PIECE - filled)
            buffer[filled : filled + taken] = left[:taken]
            left, filled = left[taken:], filled + taken
            if filled == _PIECE:
                yield buffer
                filled = 0
    if filled:
        yield buffer[:filled]


def _write(file: int, piece: memoryview) -> None:
    if len(piece) % mmap.PAGESIZE:
        _bypass_cache(file, on=False)  # whole pages only
    while piece:  # a write may take less than it is given
        try:
            piece = piece[os.write(file, piece) :]
        except OSError as error:
            if error.errno != errno.EINVAL or not _bypass_cache(file, on=False):
                raise


def _bypass_cache(file: int, *, on: bool) -> bool:
    """Switch O_DIRECT; whether that changed anything. Some file systems have no such way."""
    direct = getattr(os, "O_DIRECT", 0)
    flags = fcntl.fcntl(file, fcntl.F_GETFL)
    wanted = flags | direct if on else flags & ~direct
    with contextlib.suppress(OSError):
        fcntl.fcntl(file, fcntl.F_SETFL, wanted)
    return fcntl.fcntl(file, fcntl.F_GETFL) != flags


def _made(path: Path) -> Path:
    path.mkdir()
    return path


def _locked(make: Callable[[], Path]) -> tuple[Path, int]:
    for _ in range(100):
        path = make()
        with contextlib.suppress(FileNotFoundError):
            lock = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            with contextlib.suppress(OSError):  # a disk without locks: then nobody can remove it either
                fcntl.flock(lock, fcntl.LOCK_EX)
            if path.exists():  # nobody took it for a leftover between its making and its lock
                return path, lock
            os.close(lock)
    raise CheckpointError(
        f"No folder to write in could be kept in {str(path.parent)!r}.",
        "A folder that was just made there is still there a moment later.",
        "Find what removes folders there, or write another path.",
    )


def _unlock(lock: int) -> None:
    with contextlib.suppress(OSError):
        fcntl.flock(lock, fcntl.LOCK_UN)  # a process that was forked meanwhile shares the lock: closing is not enough
    os.close(lock)
