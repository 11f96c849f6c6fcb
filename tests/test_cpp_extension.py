"""Compiling, keeping and importing a small C++ source."""

import logging
import multiprocessing
import subprocess

import pytest

from tessera.cpp_extension import load_cpp_extension
from tessera.program.last_report import cache_folder

SOURCE = """
static long calls = 0;
static PyObject* answer(PyObject*, PyObject*) { return PyLong_FromLong(NUMBER + ++calls); }
static PyObject* given(PyObject*, PyObject*) { return PyLong_FromVoidPtr(address[0]); }
static PyMethodDef methods[] = {
    {"bind", (PyCFunction)(void (*)(void))bind, METH_FASTCALL, NULL},
    {"answer", answer, METH_NOARGS, NULL},
    {"given", given, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};
static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, "small", NULL, -1, methods};
PyMODINIT_FUNC PyInit_small(void) { return PyModule_Create(&definition); }
"""


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "tessera" / "extensions"


@pytest.fixture
def compilations(monkeypatch):
    """The commands that were run."""
    commands, run = [], subprocess.run

    def counted(command, **options):
        commands.append(command)
        return run(command, **options)

    monkeypatch.setattr(subprocess, "run", counted)
    return commands


def test_two_sources_of_one_name_stay_apart():
    first = load_cpp_extension("small", SOURCE.replace("NUMBER", "10")).module
    second = load_cpp_extension("small", SOURCE.replace("NUMBER", "20")).module
    assert (first.answer(), second.answer()) == (11, 21)


def test_a_source_is_compiled_once_and_every_import_has_memory_of_its_own(cache, compilations):
    source = SOURCE.replace("NUMBER", "0")
    first, second = (load_cpp_extension("small", source, [number]).module for number in (7, 8))
    assert len(compilations) == 1
    assert [first.answer(), first.answer(), second.answer()] == [1, 2, 1]
    assert (first.given(), second.given()) == (7, 8)
    load_cpp_extension("small", source, parallel=True)  # other flags
    load_cpp_extension("small", source, [1, 2])  # other addresses
    assert len(compilations) == 3
    assert len(list(cache.iterdir())) == 3


@pytest.mark.parametrize("damage", [b"", b"short", b"\0" * 4096], ids=["empty", "short", "zeros"])
def test_a_damaged_entry_is_compiled_again_and_said(cache, compilations, caplog, damage):
    load_cpp_extension("small", SOURCE.replace("NUMBER", "0"))
    (entry,) = cache.iterdir()
    whole = entry.read_bytes()
    entry.write_bytes(whole[:-1] if damage == b"short" else damage)
    with caplog.at_level(logging.WARNING, "tessera"):
        assert load_cpp_extension("small", SOURCE.replace("NUMBER", "0")).module.answer() == 1
    assert len(compilations) == 2
    assert "was damaged, and is compiled again" in caplog.text
    assert entry.read_bytes()[32:] == whole[32:]


def _load(number):
    return [load_cpp_extension("small", SOURCE.replace("NUMBER", str(i))).module.answer() for i in range(number)]


def test_processes_that_compile_the_same_at_once_do_not_disturb_each_other(cache):
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        assert pool.map(_load, [2] * 2, chunksize=1) == [[1, 2]] * 2
    assert sorted(path.name.split("-")[0] for path in cache.iterdir()) == ["small", "small"]


def test_a_cache_that_cannot_be_written_is_no_error(monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", "/proc/nowhere")
    assert str(cache_folder()) == "/proc/nowhere/tessera"
    assert load_cpp_extension("small", SOURCE.replace("NUMBER", "5")).module.answer() == 6


def test_a_source_that_does_not_compile_raises():
    with pytest.raises(RuntimeError, match="error"):
        load_cpp_extension("small", "this is no C++")
