from __future__ import annotations

import pytest

from tessera.data.sources.files import described, files, missing, unreadable
from tessera.errors import EmptyDatasetError


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "deep").mkdir()
    for name in ("b.bin", "a.bin", "c.txt", "deep/d.bin"):
        (tmp_path / name).write_text(name)
    return tmp_path


def names(found):
    return [path.name for path in found]


def test_files_folders_patterns_and_several(folder):
    assert names(files(folder, (".bin",))) == ["a.bin", "b.bin", "d.bin"]
    assert names(files(str(folder / "c.txt"), (".bin",))) == ["c.txt"]
    assert names(files(f"{folder}/*.bin", ())) == ["a.bin", "b.bin"]
    assert names(files(f"{folder}/**/*.bin", ())) == ["a.bin", "b.bin", "d.bin"]
    assert names(files([folder / "deep", folder / "b.bin"], (".bin",))) == ["d.bin", "b.bin"]


def test_upper_case_links_and_what_is_hidden(folder, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    for name in ("E.BIN", ".f.bin"):
        (elsewhere / name).write_text(name)
    (folder / "linked").symlink_to(elsewhere)
    (folder / "deep" / "above").symlink_to(folder)
    (folder / ".hidden").mkdir()
    (folder / ".hidden" / "g.bin").write_text("g")
    assert names(files(folder, (".bin",))) == ["a.bin", "b.bin", "d.bin", "E.BIN"]


@pytest.mark.parametrize("paths", ["nothing.bin", "*.nothing", []])
def test_no_file(folder, paths, monkeypatch):
    monkeypatch.chdir(folder)
    with pytest.raises(EmptyDatasetError, match=r"names no file\. .* end in \.bin or \.npy"):
        files(paths, (".bin", ".npy"))


def test_what_is_said_of_them(folder):
    assert described([folder / "a.bin"]) == [["a.bin", 5]]
    error = unreadable(folder / "a.bin", ", rows 0 to 9,", OSError("truncated."))
    assert str(error).startswith(f"{folder / 'a.bin'}, rows 0 to 9, cannot be read: OSError: truncated. ")
    assert str(error).endswith("leave it out; Loader(..., on_error='skip') leaves out these rows.")
    whole = unreadable(folder / "a.bin", "", OSError("truncated."))  # it is met before there is a loader
    assert str(whole).endswith(" of the format that its name says. Write it again, or leave it out.")
    assert "pip install 'tessera[data]'" in str(missing("pyarrow", "data"))
