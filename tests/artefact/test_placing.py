"""A file takes its place as a whole."""

from __future__ import annotations

import os

import pytest

from tessera.artefact.placing import place


def test_a_file_is_written_and_replaced(tmp_path):
    for content in (b"first", b"second"):
        place(tmp_path / "a", content)
        assert (tmp_path / "a").read_bytes() == content
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


@pytest.mark.parametrize("fails", ["fsync", "write"])
def test_a_full_disk_leaves_what_stood_there(tmp_path, monkeypatch, fails):
    place(tmp_path / "a", b"first")

    def full(*_):
        raise OSError(28, "No space left on device")

    if fails == "fsync":
        monkeypatch.setattr(os, "fsync", full)
    else:
        monkeypatch.setattr(type(tmp_path), "replace", full)
    with pytest.raises(OSError, match="No space left"):
        place(tmp_path / "a", b"second")
    assert (tmp_path / "a").read_bytes() == b"first"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError):
        place(tmp_path / "none" / "a", b"")
