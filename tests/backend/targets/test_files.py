from __future__ import annotations

import pytest

from tessera.backend.targets.files import INDEX, JSON, read, write
from tessera.errors import ExportError
from tests.backend.targets.test_emission import emission


def test_what_is_written_can_be_read(tmp_path):
    files = write(emission(), tmp_path / "a" / "b")
    assert {file.name for file in files} == {INDEX, JSON, "triton_poi_0.py", "triton_poi_0.cubin", "wrapper.py"}
    assert all(file.exists() for file in files)
    assert read(tmp_path / "a" / "b") == emission()


def test_the_index_says_what_each_kernel_comes_from(tmp_path):
    write(emission(), tmp_path)
    text = (tmp_path / INDEX).read_text()
    assert text.startswith("# training step of Net for h200\n")
    assert str(emission()) in text
    assert "- `triton_poi_0.py`: aten.sin\n  - /home/me/model.py:7  return x.sin()\n" in text


def test_other_files_are_left_alone(tmp_path):
    (tmp_path / "mine.py").write_text("x = 1")
    write(emission(), tmp_path)
    write(emission(), tmp_path)
    assert (tmp_path / "mine.py").read_text() == "x = 1"


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ExportError, match="cannot be written"):
        write(emission(), tmp_path / "file")


@pytest.mark.parametrize("content", [None, "", "{}", "[1]", '{"roofline_seconds": 1, "kernels": [{}]}'])
def test_a_foreign_folder(tmp_path, content):
    if content is not None:
        (tmp_path / JSON).write_text(content)
    with pytest.raises(ExportError, match="holds no emitted kernels"):
        read(tmp_path)
