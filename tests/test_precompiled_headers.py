"""Headers that a compiler has read once: written down behind the first compile, read by the next, never needed."""

from __future__ import annotations

import subprocess
import time

import pytest
import torch

import tessera
from tessera import precompiled_headers, torch_internals
from tessera.cpp_extension import HEADER, compiled_library, import_library

HEADERS = "#define PY_SSIZE_T_CLEAN\n#include <Python.h>\n#include <cmath>\n"
SOURCE = (
    "#define ADDRESSES 1\n"
    + HEADER
    + """
#include <cmath>
static PyObject* answer(PyObject*, PyObject*) { return PyFloat_FromDouble(std::sqrt(NUMBER)); }
static PyMethodDef methods[] = {
    {"bind", (PyCFunction)(void (*)(void))bind, METH_FASTCALL, NULL},
    {"answer", answer, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};
static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, "small", NULL, -1, methods};
PyMODINIT_FUNC PyInit_small(void) { return PyModule_Create(&definition); }
"""
)


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "tessera" / "headers"


@pytest.fixture(name="commands")
def _commands(monkeypatch):
    seen, run = [], subprocess.run

    def recorded(command, **options):
        if command[1].endswith("source.cpp"):  # what is asked of the compiler otherwise does not count
            seen.append(command)
        return run(command, **options)

    monkeypatch.setattr(subprocess, "run", recorded)
    return seen


def command():
    return torch_internals.kernel_compiler()


def answer(number):
    library = compiled_library("small", SOURCE.replace("NUMBER", str(number)), command(), HEADERS)
    return import_library("small", library).module.answer()


def written(folder):
    """Wait for the compilers that write."""
    ends = time.monotonic() + 300
    while list(folder.glob("*.part")):
        assert time.monotonic() < ends
        time.sleep(0.05)


def prepared(folder):
    """Have them written: by the second who asks."""
    assert [answer("0.0"), answer("1.0")] == [0.0, 1.0]
    written(folder)


def test_the_second_compile_has_them_written_and_the_next_reads_them(commands, folder):
    prepared(folder)
    assert answer("9.0") == 3.0
    assert ["-include" in one for one in commands] == [False, False, True]
    (file,) = folder.glob("*.gch")
    assert commands[2][commands[2].index("-include") + 1] == str(file).removesuffix(".gch")
    assert answer("9.0") == 3.0
    assert len(commands) == 3, "the same source is compiled once, however its headers were read"


def test_g_plus_plus_takes_them(folder):
    prepared(folder)
    for file in folder.glob("*.h"):
        file.write_text("#error these are read as they were written down\n")
    assert answer("9.0") == 3.0


def test_other_flags_have_their_own(folder):
    for flags in ([], ["-DOTHER"]) * 2:
        precompiled_headers.write([*command(), *flags], HEADERS)
    written(folder)
    assert len(list(folder.glob("*.gch"))) == 2


def test_what_cannot_be_read_is_removed_and_nothing_else_happens(commands, folder):
    prepared(folder)
    (file,) = folder.glob("*.gch")
    for text in folder.glob("*.h"):
        text.write_text("#error\n")  # what stands for a compiler that refuses
    file.write_bytes(b"")
    assert answer("9.0") == 3.0
    assert ["-include" in one for one in commands] == [False, False, True, False]


def test_a_source_with_an_error_says_its_own(folder):
    prepared(folder)
    with pytest.raises(RuntimeError, match="NOTHING"):
        answer("NOTHING")


def test_two_do_not_write_the_same(folder):
    assert [precompiled_headers.write(command(), HEADERS) for _ in range(3)] == [False, True, False]
    written(folder)


def test_headers_that_do_not_compile_leave_nothing(folder):
    for _ in range(2):
        precompiled_headers.write(command(), "#include <there/is/none>\n")
    written(folder)
    assert [file.suffix for file in folder.iterdir()] == [".h"]


def test_the_oldest_are_forgotten(folder):
    for number in range(6):
        for _ in range(2):
            precompiled_headers.write(command(), f"#define NUMBER {number}\n")
        written(folder)
    assert len(list(folder.glob("*.gch"))) == 4


def test_a_folder_that_cannot_be_written_is_no_error(tmp_path):
    (tmp_path / "tessera").write_text("a file")
    assert precompiled_headers.write(command(), HEADERS) is False
    assert answer("16.0") == 4.0


def test_kernels_are_compiled_with_them(commands, folder):
    x = torch.linspace(-1, 1, 7)
    for factor in (1.125, 1.25, 1.375):
        torch.testing.assert_close(tessera.compile(lambda x, k=factor: (x * k).sin())(x), (x * factor).sin())
        written(folder)
    assert "-include" in commands[-1]
