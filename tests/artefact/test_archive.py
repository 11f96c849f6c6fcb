"""Files of compiled code: what was written comes back, and nothing else does."""

from __future__ import annotations

import io
import json
import os
import zipfile

import pytest

from tessera.artefact.archive import Members, inspect_archive, read_archive, write_archive
from tessera.errors import ArtefactError


@pytest.fixture
def path(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "step.tessera"


def written(path, content=b"code", **manifest):
    members = Members()
    name = members.add(content, "code", ".so")
    return write_archive(path, {"kind": "test", **manifest}, members), name


def rewritten(path, change):
    """Write the file again with its members changed by ``change(name -> bytes)``."""
    with zipfile.ZipFile(path) as file:
        members = {name: file.read(name) for name in file.namelist()}
    change(members)
    with zipfile.ZipFile(path, "w") as file:
        for name, content in members.items():
            file.writestr(name, content)


def test_what_was_written_comes_back(path):
    its_hash, name = written(path, b"\0" * 100_000, answer=[1, None, {"a": 2.5}])
    archive = read_archive(path)
    assert archive.manifest["answer"] == [1, None, {"a": 2.5}]
    assert archive.read(name) == b"\0" * 100_000
    assert archive.hash == its_hash
    assert path.stat().st_size < 10_000


def test_equal_bytes_stand_there_once(path):
    members = Members()
    assert members.add(b"same", "code", ".so") == members.add(b"same", "code", ".so") != members.add(b"other")
    write_archive(path, {}, members)
    assert len(inspect_archive(path).manifest["members"]) == 2


def test_every_flipped_byte_is_noticed(path):
    _, name = written(path, os.urandom(300))
    whole = path.read_bytes()
    for at in range(0, len(whole), 7):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0xFF]) + whole[at + 1 :])
        try:
            archive = read_archive(path)
            content = archive.read(name)
        except ArtefactError:
            continue
        path.write_bytes(whole)  # a byte of the zip that stands for nothing, such as a date
        untouched = read_archive(path)
        assert (archive.manifest, content) == (untouched.manifest, untouched.read(name))


@pytest.mark.parametrize("length", [0, 1, 21, 22, 200, -1])
def test_a_file_cut_short(path, length):
    written(path)
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(ArtefactError, match=r"no artefact that can be loaded: .* Copy it again"):
        read_archive(path)


def test_no_such_file(path):
    with pytest.raises(ArtefactError, match=r"cannot be read: No such file.*step\.save"):
        read_archive(path)


def test_a_member_that_was_exchanged(path):
    _, name = written(path)
    rewritten(path, lambda members: members.update({name: b"evil"}))
    with pytest.raises(ArtefactError, match=r"its hash is another one.*not one byte changed"):
        read_archive(path).read(name)


def test_a_manifest_that_was_exchanged_is_not_trusted(path):
    written(path)
    change = {"manifest.json": json.dumps({"format": 1, "kind": "evil", "members": {}}).encode()}
    rewritten(path, lambda members: members.update(change))
    with pytest.raises(ArtefactError, match=r"was not saved by you on this machine, and its hash sha256:[0-9a-f]{64}"):
        read_archive(path)


def test_a_bomb_is_not_unpacked(path):
    _, name = written(path)
    rewritten(path, lambda members: members.update({name: b"\0" * 10_000_000}))
    with pytest.raises(ArtefactError, match="its size is another one"):
        read_archive(path).read(name)
    for larger in ({"signature": b"0" * 10_000_000}, {"manifest.json": b"[%s[]]" % (b"[]," * 6_000_000)}):
        rewritten(path, lambda members, larger=larger: members.update(larger))
        with pytest.raises(ArtefactError, match="its size is another one"):
            read_archive(path)


def test_names_that_lead_elsewhere_are_only_names(path, tmp_path):
    written(path)
    rewritten(path, lambda members: members.update({"../../outside": b"x", "/etc/x": b"x"}))
    archive = read_archive(path)
    for name in ("../../outside", "/etc/x", "manifest.json"):
        with pytest.raises(ArtefactError, match="cannot be read"):
            archive.read(name)
    assert not (tmp_path.parent / "outside").exists()


def test_a_name_that_stands_there_twice(path):
    _, name = written(path)
    with zipfile.ZipFile(path, "a") as file, pytest.warns(UserWarning, match="Duplicate name"):
        file.writestr(name, b"evil")
    with pytest.raises(ArtefactError, match="it stands there 2 times"):
        read_archive(path).read(name)


@pytest.mark.parametrize("manifest", [b"[]", b"{}", b'{"members": []}', b"\xff", b"[" * 100_000, b"null"], ids=range(6))
def test_a_manifest_that_is_none(path, manifest):
    written(path)
    rewritten(path, lambda members: members.update({"manifest.json": manifest}))
    with pytest.raises(ArtefactError, match="no artefact that can be loaded"):
        read_archive(path)


def test_another_format(path):
    written(path)
    manifest = json.dumps({"format": 99, "members": {}}).encode()
    rewritten(path, lambda members: members.update({"manifest.json": manifest}))
    with pytest.raises(
        ArtefactError, match=r"has the format 99\. This version of Tessera reads the format 1\. Save it"
    ):
        read_archive(path)


def test_a_zip_of_something_else(path):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        file.writestr("data.pkl", b"\x80\x04.")
    path.write_bytes(buffer.getvalue())
    with pytest.raises(ArtefactError, match=r"it stands there 0 times"):
        read_archive(path)
