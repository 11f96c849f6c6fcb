"""Philox for plain PyTorch on a CPU: one small C++ function in place of some hundred tensor operations.

Compiled when the first numbers are drawn eagerly, and kept in the cache folder. Without a compiler the tensor
operations of ``words`` compute the same numbers.
"""

from __future__ import annotations

import functools
import os
import shutil
from collections.abc import Callable

import torch

from tessera.cpp_extension import load_cpp_extension

_SOURCE = r"""
#include <stdint.h>
#include <string.h>

enum { LANES = 16 };  // counters at a time, which the compiler makes vectors of

static void philox(uint64_t key, uint32_t stream, uint64_t counter, uint32_t words[4][LANES]) {
    uint32_t *x0 = words[0], *x1 = words[1], *x2 = words[2], *x3 = words[3];
    for (int i = 0; i < LANES; i++) {
        uint64_t here = counter + i;
        x0[i] = (uint32_t)here; x1[i] = (uint32_t)(here >> 32); x2[i] = stream; x3[i] = 0;
    }
    uint32_t k0 = (uint32_t)key, k1 = (uint32_t)(key >> 32);
    for (int round = 0; round < 10; round++) {
        for (int i = 0; i < LANES; i++) {
            uint64_t a = (uint64_t)x0[i] * 0xD2511F53u, b = (uint64_t)x2[i] * 0xCD9E8D57u;
            x0[i] = (uint32_t)(b >> 32) ^ x1[i] ^ k0; x1[i] = (uint32_t)b;
            x2[i] = (uint32_t)(a >> 32) ^ x3[i] ^ k1; x3[i] = (uint32_t)a;
        }
        k0 += 0x9E3779B9u; k1 += 0xBB67AE85u;
    }
}

static void fill(uint64_t key, uint32_t stream, int64_t count, int64_t* out) {
    uint32_t words[4][LANES];
    int64_t block[4 * LANES];
    for (int64_t at = 0; at < count; at += 4 * LANES) {
        philox(key, stream, (uint64_t)at / 4, words);
        int64_t left = count - at;
        int64_t* into = left < 4 * LANES ? block : out + at;
        for (int i = 0; i < LANES; i++)
            for (int j = 0; j < 4; j++) into[4 * i + j] = words[j][i];
        if (into == block) memcpy(out + at, block, left * sizeof(int64_t));
    }
}

static PyObject* random_words(PyObject* self, PyObject* const* args, Py_ssize_t given) {
    uint64_t key = PyLong_AsUnsignedLongLong(args[0]);
    uint32_t stream = (uint32_t)PyLong_AsUnsignedLong(args[1]);
    int64_t count = PyLong_AsLongLong(args[2]);
    int64_t* out = (int64_t*)PyLong_AsVoidPtr(args[3]);
    if (PyErr_Occurred()) return NULL;
    Py_BEGIN_ALLOW_THREADS
    fill(key, stream, count, out);
    Py_END_ALLOW_THREADS
    Py_RETURN_NONE;
}

static PyMethodDef methods[] = {
    {"bind", (PyCFunction)(void (*)(void))bind, METH_FASTCALL, NULL},
    {"random_words", (PyCFunction)(void (*)(void))random_words, METH_FASTCALL, NULL},
    {NULL, NULL, 0, NULL}};
static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, "tessera_words", NULL, -1, methods};
PyMODINIT_FUNC PyInit_tessera_words(void) { return PyModule_Create(&definition); }
"""


def native_words(key: torch.Tensor, shape: tuple[int, ...], stream: int) -> torch.Tensor | None:
    """What ``random_words`` returns; None where there is no such function: on other devices, without a compiler."""
    if key.device.type != "cpu" or (fill := _function()) is None:
        return None
    words = torch.empty(shape, dtype=torch.int64)
    fill(key.item(), stream, words.numel(), words.data_ptr())
    return words


@functools.cache
def _function() -> Callable[[int | float, int, int, int], None] | None:
    # Whoever draws eagerly may never compile: the compiler is found without loading Inductor.
    compiler = shutil.which(os.environ.get("CXX", "")) or shutil.which("g++") or shutil.which("clang++")
    if compiler is None:
        return None
    try:
        extension = load_cpp_extension("tessera_words", _SOURCE, fast=True, compiler=compiler)
    except (RuntimeError, OSError, ImportError):  # the tensor operations do without
        return None
    function: Callable[[int | float, int, int, int], None] = extension.module.random_words
    return function
