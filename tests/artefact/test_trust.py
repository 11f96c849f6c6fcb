"""Code is run from the user's own files, and from those whose hash was passed."""

from __future__ import annotations

import multiprocessing

import pytest

from tessera.artefact.archive import Members, read_archive, write_archive
from tessera.artefact.trust import sign
from tessera.errors import ArtefactError
from tessera.program.last_report import cache_folder


@pytest.fixture
def home(tmp_path, monkeypatch):
    """Makes another user of this process."""

    def live_in(name):
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / name))
        return cache_folder() / "signing.key"

    live_in("mine")
    return live_in


def test_ones_own_file_is_trusted_and_the_key_is_readable_for_nobody_else(home, tmp_path):
    path = tmp_path / "a"
    write_archive(path, {}, Members())
    read_archive(path)
    key = home("mine")
    assert key.stat().st_mode & 0o777 == 0o600
    assert len(key.read_bytes()) == 32
    assert [entry.name for entry in key.parent.iterdir()] == ["signing.key"]


def test_anothers_file_needs_its_hash(home, tmp_path):
    path = tmp_path / "a"
    its_hash = write_archive(path, {}, Members())
    home("yours")
    with pytest.raises(ArtefactError, match=rf"hash {its_hash} was not passed.*trust=\"{its_hash}\"\)"):
        read_archive(path)
    assert read_archive(path, its_hash).hash == its_hash
    sign(b"")  # you have a key of your own now
    with pytest.raises(ArtefactError, match="was not saved by you"):
        read_archive(path)


@pytest.mark.parametrize("trust", ["", "sha256:", "sha256:" + "0" * 64, "everything", "é"])
def test_another_hash_is_no_trust_even_for_ones_own_file(home, tmp_path, trust):
    path = tmp_path / "a"
    write_archive(path, {}, Members())
    with pytest.raises(ArtefactError, match=r"Only a file with the hash that is passed is loaded\. Ask whoever"):
        read_archive(path, trust)


@pytest.mark.parametrize("mode", [0o644, 0o660, 0o606])
def test_a_key_that_others_can_read_is_no_key(home, tmp_path, mode):
    path = tmp_path / "a"
    write_archive(path, {}, Members())
    key = home("mine")
    before = key.read_bytes()
    key.chmod(mode)
    with pytest.raises(ArtefactError, match="was not saved by you"):
        read_archive(path)
    write_archive(path, {}, Members())  # makes another
    read_archive(path)
    assert key.read_bytes() != before
    assert key.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("content", [b"", b"short", b"x" * 33])
def test_a_damaged_key_is_replaced(home, content):
    key = home("mine")
    sign(b"")
    key.write_bytes(content)
    first = sign(b"")
    assert first == sign(b"") != ""
    assert len(key.read_bytes()) == 32


def test_a_key_behind_a_link_is_no_key(home, tmp_path):
    key = home("mine")
    sign(b"")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_bytes(b"k" * 32)
    elsewhere.chmod(0o600)
    key.unlink()
    key.symlink_to(elsewhere)
    sign(b"")
    assert not key.is_symlink()


def test_no_folder_for_a_key(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", "/proc/nowhere")
    its_hash = write_archive(tmp_path / "a", {}, Members())
    with pytest.raises(ArtefactError, match="was not saved by you"):
        read_archive(tmp_path / "a")
    assert read_archive(tmp_path / "a", its_hash)


def test_processes_that_make_the_key_at_once_have_one_key(home):
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        signatures = pool.map(sign, [b"the same"] * 8, chunksize=1)
    assert set(signatures) == {sign(b"the same")}
