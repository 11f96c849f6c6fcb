from __future__ import annotations

import multiprocessing

import pytest
import torch

from tessera.program.last_report import cache_folder
from tessera.program.remembered import Remembered, machine_name


@pytest.fixture(autouse=True)
def _own_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


def test_what_is_put_in_is_found_again():
    Remembered("a.json").put("x", {"y": [1, 2.5]})
    Remembered("a.json").put("z", None)
    assert Remembered("a.json").get("x") == {"y": [1, 2.5]}
    assert Remembered("a.json").get("z") is None
    assert Remembered("b.json").get("x") is None


@pytest.mark.parametrize("text", ["", "[]", "{", "3"])
def test_a_file_that_is_none_is_as_good_as_no_file(text):
    cache_folder().mkdir(parents=True)
    (cache_folder() / "a.json").write_text(text)
    assert Remembered("a.json").get("x") is None
    Remembered("a.json").put("x", 1)
    assert Remembered("a.json").get("x") == 1


def test_a_folder_that_cannot_be_written_is_no_error(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    Remembered("a.json").put("x", 1)
    assert Remembered("a.json").get("x") is None


def put_many(number):
    for i in range(50):
        Remembered("a.json").put(f"{number}", i)


def test_processes_that_write_at_once_leave_a_whole_file():
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=put_many, args=(number,)) for number in range(2)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
    assert [writer.exitcode for writer in writers] == [0, 0]
    found = [Remembered("a.json").get(str(number)) for number in range(2)]
    assert 49 in found
    assert [path.name for path in cache_folder().iterdir()] == ["a.json"]


def test_a_machine_is_known_by_processor_threads_and_torch():
    name = machine_name(torch.device("cpu"))
    assert f"{torch.get_num_threads()} of " in name
    assert torch.__version__ in name
