"""Compiling and importing a small C++ source."""

import subprocess

import pytest

from tessera.backend.cpp_extension import load_cpp_extension

SOURCE = """
#include <Python.h>
static PyObject* answer(PyObject*, PyObject*) { return PyLong_FromLong(NUMBER); }
static PyMethodDef methods[] = {{"answer", answer, METH_NOARGS, NULL}, {NULL, NULL, 0, NULL}};
static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, "small", NULL, -1, methods};
PyMODINIT_FUNC PyInit_small(void) { return PyModule_Create(&definition); }
"""


def test_two_sources_of_one_name_stay_apart():
    first = load_cpp_extension("small", SOURCE.replace("NUMBER", "1"))
    second = load_cpp_extension("small", SOURCE.replace("NUMBER", "2"))
    assert (first.answer(), second.answer()) == (1, 2)


def test_a_source_that_does_not_compile_raises():
    with pytest.raises(subprocess.CalledProcessError):
        load_cpp_extension("small", "this is no C++")
