from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import random
import threading
from pathlib import Path

import pytest

from tessera.checkpoint import durable
from tessera.checkpoint.durable import (
    Digest,
    digest_of,
    make_folder,
    numbered,
    remove_folder,
    remove_leftovers,
    rename_to_next,
    unfinished_folder,
    write_file,
)
from tessera.checkpoint.saving import save


@pytest.mark.parametrize("piece", [1, 64, 4096, 1 << 21])
def test_what_is_written_is_what_was_given(tmp_path, monkeypatch, piece):
    monkeypatch.setattr(durable, "_PIECE", piece)
    rng = random.Random(0)
    for number in range(20):
        limit = 50 if piece == 1 else 3 * 4096
        pieces = [rng.randbytes(rng.choice([0, 1, 7, 4096, rng.randrange(limit)]) % limit) for _ in range(6)]
        path = tmp_path / str(number)
        written = write_file(path, [memoryview(piece) if rng.random() < 0.5 else piece for piece in pieces])
        content = path.read_bytes()
        assert content == b"".join(pieces)
        assert written == digest_of(path) == Digest(len(content), hashlib.sha256(content).hexdigest())


def test_a_file_that_is_there_is_not_overwritten(tmp_path):
    write_file(tmp_path / "a", [b"1"])
    with pytest.raises(FileExistsError):
        write_file(tmp_path / "a", [b"2"])
    assert (tmp_path / "a").read_bytes() == b"1"


@pytest.mark.parametrize("taken", [1, 512, 100_000])
def test_a_write_that_takes_less_is_gone_on_with(tmp_path, monkeypatch, taken):
    real = os.write
    monkeypatch.setattr(os, "write", lambda file, piece: real(file, memoryview(piece)[:taken]))
    size = 5000 if taken == 1 else 300_000
    content = random.Random(0).randbytes(size)
    write_file(tmp_path / "a", [content])
    assert (tmp_path / "a").read_bytes() == content


def test_a_disk_that_cannot_be_written_past_the_cache(tmp_path, monkeypatch):
    real = os.write

    def write(file, piece):
        if fcntl.fcntl(file, fcntl.F_GETFL) & os.O_DIRECT:
            raise OSError(errno.EINVAL, "Invalid argument")
        return real(file, piece)

    monkeypatch.setattr(os, "write", write)
    monkeypatch.setattr(durable, "_PIECE", 4096)
    content = random.Random(0).randbytes(20_000)
    write_file(tmp_path / "a", [content])
    assert (tmp_path / "a").read_bytes() == content


def test_an_invalid_argument_that_is_no_matter_of_the_cache_is_raised(tmp_path, monkeypatch):
    def write(file, piece):
        raise OSError(errno.EINVAL, "Invalid argument")

    monkeypatch.setattr(os, "write", write)
    with pytest.raises(OSError, match="Invalid argument"):
        write_file(tmp_path / "a", [b"x" * 10_000])


def test_everything_is_synced_before_the_name_that_commits(tmp_path, monkeypatch):
    """What a power cut could lose at the moment of the rename, and after the save."""
    dirty: set[str] = set()
    at_commit: list[set[str]] = []
    reals = {name: getattr(os, name) for name in ("open", "write", "fsync", "rename", "mkdir")}
    paths: dict[int, str] = {}

    def opened(path, *args, **named):
        file = reals["open"](path, *args, **named)
        paths[file] = str(path)
        if args and args[0] & os.O_CREAT:
            dirty.update({str(path), str(Path(path).parent)})
        return file

    def written(file, piece):
        dirty.add(paths[file])
        return reals["write"](file, piece)

    def synced(file):
        reals["fsync"](file)
        dirty.discard(paths[file])

    def renamed(source, target):
        if Path(target).name.startswith("snapshot-"):
            at_commit.append({path for path in dirty if path.startswith(str(source))})
        reals["rename"](source, target)
        dirty.add(str(Path(target).parent))

    def made(path, *args):
        reals["mkdir"](path, *args)
        dirty.add(str(Path(path).parent))

    for name, shim in zip(reals, (opened, written, synced, renamed, made), strict=True):
        monkeypatch.setattr(os, name, shim)
    save(tmp_path / "a" / "b", x=1)
    assert at_commit == [set()]
    assert dirty == set()


def test_numbers_go_on_after_the_highest(tmp_path):
    for expected in ("s-000001", "s-000002"):
        with unfinished_folder(tmp_path) as path:
            (path / "file").write_text("")
            assert rename_to_next(path, "s-") == tmp_path / expected
    remove_folder(tmp_path / "s-000001")
    (tmp_path / "s-999999").mkdir()
    (tmp_path / "s-x").mkdir()
    (tmp_path / "s-1").mkdir()
    (tmp_path / "s-1000000").write_text("no folder, in the way")
    with unfinished_folder(tmp_path) as path:
        (path / "file").write_text("")
        assert rename_to_next(path, "s-") == tmp_path / "s-1000001"
    assert [number for number, _ in numbered(tmp_path, "s-")] == [2, 999_999, 1_000_001]


def test_what_is_not_renamed_is_removed(tmp_path):
    with pytest.raises(KeyError), unfinished_folder(tmp_path) as path:  # noqa: PT012 - the folder outlives the error
        (path / "file").write_text("x")
        raise KeyError
    assert list(tmp_path.iterdir()) == []


def test_the_error_of_a_disk_is_not_hidden_by_that_of_the_cleaning(tmp_path, monkeypatch):
    def broken(*_):
        raise OSError(30, "Read-only file system")

    with pytest.raises(KeyError), unfinished_folder(tmp_path) as path:  # noqa: PT012 - the disk breaks meanwhile
        monkeypatch.setattr("os.rename", broken)
        raise KeyError
    assert list(tmp_path.iterdir()) == [path]
    monkeypatch.undo()
    remove_leftovers(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_leftovers_are_removed_and_what_is_written_in_is_not(tmp_path):
    (tmp_path / ".unfinished-dead").mkdir()
    (tmp_path / ".unfinished-dead" / "file").write_text("x")
    (tmp_path / ".removed-half").mkdir()
    (tmp_path / "mine.txt").write_text("x")
    with unfinished_folder(tmp_path) as path:
        remove_leftovers(tmp_path)
        assert {entry.name for entry in tmp_path.iterdir()} == {"mine.txt", path.name}
    assert {entry.name for entry in tmp_path.iterdir()} == {"mine.txt"}


def test_makers_and_removers_at_once(tmp_path):
    stop = threading.Event()

    def sweep():
        while not stop.is_set():
            remove_leftovers(tmp_path)

    sweeper = threading.Thread(target=sweep)
    sweeper.start()
    for number in range(200):
        with unfinished_folder(tmp_path) as path:
            write_file(path / "file", [b"x"])
            assert (path / "file").exists(), number
    stop.set()
    sweeper.join()


def test_removing_what_is_gone_is_no_error(tmp_path):
    remove_folder(tmp_path / "nowhere")
    make_folder(tmp_path / "a" / "b" / "c")
    make_folder(tmp_path / "a" / "b" / "c")
    remove_folder(tmp_path / "a")
    assert list(tmp_path.iterdir()) == []
