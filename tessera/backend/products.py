"""Matrix products by the faster of the two libraries that torch brings.

On a CPU that is not Intel's, MKL keeps to slower kernels: float32 products of some size take half the time in oneDNN,
whichever operand is transposed. The choice depends on shapes and processor alone, so a run repeats to the bit.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import torch

from tessera import torch_internals
from tessera.backend.cpp_extension import load_cpp_extension

SMALLEST = 1 << 21  # multiplications; below, oneDNN's way to its kernel costs more than it gains (measured)


class Products:
    """Stands in for the library functions that a wrapper of Inductor's calls; what it does not know goes to them."""

    def __init__(self, library: Any) -> None:
        self._library = library

    def __getattr__(self, name: str) -> Any:
        return getattr(self._library, name)

    def mm(self, a: torch.Tensor, b: torch.Tensor, *, out: torch.Tensor) -> None:
        """``out[i, k] = sum_j a[i, j] * b[j, k]``."""
        if _fits(a, b, out):
            _multiply(a, b, out)
        else:
            self._library.mm(a, b, out=out)

    def bmm(self, a: torch.Tensor, b: torch.Tensor, *, out: torch.Tensor) -> None:
        """``mm`` for every element of the leading dimension."""
        if _fits(a, b, out):
            _multiply(a, b, out)
        else:
            self._library.bmm(a, b, out=out)


def with_products(library: Any) -> Products:
    """``library`` behind a choice; wrappers of equal Programs share their names, so it may have one already."""
    return library if isinstance(library, Products) else Products(library)


def is_large(a: torch.Tensor, b: torch.Tensor) -> bool:
    """Whether the product of two matrices, or batches of them, is worth a choice."""
    return a.numel() * b.shape[-1] >= SMALLEST


def _fits(a: torch.Tensor, b: torch.Tensor, out: torch.Tensor) -> bool:
    return (
        a.dtype is torch.float32
        and is_large(a, b)
        and out.is_contiguous()
        and (a.is_contiguous() or a.mT.is_contiguous())
        and (b.is_contiguous() or b.mT.is_contiguous())
        and bool(torch.backends.mkldnn.enabled)
    )


def _multiply(*tensors: torch.Tensor) -> None:
    _onednn().multiply(*map(torch_internals.tensor_handle, tensors))


def prefers_onednn() -> bool:
    """Whether this machine multiplies float32 matrices faster in oneDNN than in MKL."""
    return _vendor() not in ("", "GenuineIntel") and torch_internals.onednn_matmul() is not None


@functools.cache
def _vendor() -> str:
    information = Path("/proc/cpuinfo")
    lines = information.read_text(encoding="utf-8").splitlines() if information.exists() else []
    return next((line.split(":")[1].strip() for line in lines if line.startswith("vendor_id")), "")


@functools.cache
def _onednn() -> Any:
    return load_cpp_extension("tessera_products", _SOURCE, [torch_internals.onednn_matmul() or 0]).module


# A tensor of C++ is one pointer, its handle; a reference to the tensor is the address of that pointer.
_SOURCE = """
#include <exception>

typedef void (*Matmul)(void* const&, void* const&, void* const&, float beta, float alpha);

static PyObject* multiply(PyObject* self, PyObject* const* args, Py_ssize_t count) {
    void* tensors[3];
    for (int i = 0; i < 3 && count == 3; i++) tensors[i] = PyLong_AsVoidPtr(args[i]);
    if (count != 3 || PyErr_Occurred()) return NULL;
    PyThreadState* state = PyEval_SaveThread();
    const char* failed = NULL;
    try {
        ((Matmul)address[0])(tensors[0], tensors[1], tensors[2], 0.0f, 1.0f);
    } catch (const std::exception&) {
        failed = "a matrix product failed in oneDNN";
    }
    PyEval_RestoreThread(state);
    if (failed) return PyErr_Format(PyExc_RuntimeError, failed);
    Py_RETURN_NONE;
}

static PyMethodDef methods[] = {
    {"bind", (PyCFunction)(void (*)(void))bind, METH_FASTCALL, NULL},
    {"multiply", (PyCFunction)(void (*)(void))multiply, METH_FASTCALL, NULL},
    {NULL, NULL, 0, NULL},
};
static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, "tessera_products", NULL, -1, methods};
PyMODINIT_FUNC PyInit_tessera_products(void) { return PyModule_Create(&definition); }
"""
