"""Matrix products by the faster of the two libraries that torch brings.

On a CPU that is not Intel's, MKL keeps to slower kernels: large float32 products take half the time in oneDNN,
whichever operand is transposed. Which is faster for a small one depends on its shape: it is measured once and
remembered, so that a run repeats to the bit.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch

from tessera import torch_internals
from tessera.backend.fastest import fastest
from tessera.cpp_extension import load_cpp_extension

SMALLEST = 1 << 21  # multiplications; below, oneDNN's way to its kernel usually costs more than it gains (measured)
MEASURED = range(1 << 18, 1 << 24)  # multiplications of a product whose shape decides; a look takes milliseconds

Multiply = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], None]


class Products:
    """Stands in for the library functions that a wrapper of Inductor's calls; what it does not know goes to them."""

    def __init__(self, library: Any) -> None:
        self._library = library
        self._chosen: dict[Any, Multiply] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._library, name)

    def mm(self, a: torch.Tensor, b: torch.Tensor, *, out: torch.Tensor) -> None:
        """``out[i, k] = sum_j a[i, j] * b[j, k]``."""
        self._multiply("mm", a, b, out)

    def bmm(self, a: torch.Tensor, b: torch.Tensor, *, out: torch.Tensor) -> None:
        """``mm`` for every element of the leading dimension."""
        self._multiply("bmm", a, b, out)

    def _multiply(self, name: str, a: torch.Tensor, b: torch.Tensor, out: torch.Tensor) -> None:
        if a.dtype is torch.float32 and torch.backends.mkldnn.enabled:
            key = (a.shape, b.shape, a.stride(), b.stride(), out.stride(), torch.get_num_threads())
            multiply = self._chosen.get(key)
            if multiply is None:
                multiply = self._chosen[key] = self._choose(name, a, b, out)
            multiply(a, b, out)
        else:
            getattr(self._library, name)(a, b, out=out)

    def _choose(self, name: str, a: torch.Tensor, b: torch.Tensor, out: torch.Tensor) -> Multiply:
        own = getattr(self._library, name)

        def by_library(a: torch.Tensor, b: torch.Tensor, out: torch.Tensor) -> None:
            own(a, b, out=out)

        if not _fits(a, b, out):
            return by_library
        usual = "onednn" if is_large(a, b) else "library"
        ways: dict[str, Multiply] = {"onednn": by_onednn, "library": by_library}
        if _multiplications(a, b) not in MEASURED:
            return ways[usual]
        problem = f"{tuple(a.shape)} x {tuple(b.shape)}, strides {a.stride()} {b.stride()}, float32"
        return ways[fastest(problem, {way: partial(ways[way], a, b, out) for way in ways}, usual)]


def with_products(library: Any) -> Products:
    """``library`` behind a choice; wrappers of equal Programs share their names, so it may have one already."""
    return library if isinstance(library, Products) else Products(library)


def is_large(a: torch.Tensor, b: torch.Tensor) -> bool:
    """Whether the product of two matrices, or batches of them, is worth a choice."""
    return _multiplications(a, b) >= SMALLEST


def _multiplications(a: torch.Tensor, b: torch.Tensor) -> int:
    return a.numel() * b.shape[-1]


def _fits(a: torch.Tensor, b: torch.Tensor, out: torch.Tensor) -> bool:
    return (
        out.is_contiguous()
        and (a.is_contiguous() or a.mT.is_contiguous())
        and (b.is_contiguous() or b.mT.is_contiguous())
    )


def by_onednn(a: torch.Tensor, b: torch.Tensor, out: torch.Tensor, *, add: bool = False) -> None:
    """``out = a @ b``, or ``out += a @ b``."""
    _onednn().multiply(*map(torch_internals.tensor_handle, (a, b, out)), add)


def add_product(total: torch.Tensor, a: torch.Tensor, b: torch.Tensor) -> None:
    """``total[i, k] += sum_j a[i, j] * b[j, k]`` in place, without the product by itself."""
    ours = total.dtype is torch.float32 and total.device.type == "cpu" and is_large(a, b) and _fits(a, b, total)
    if ours and prefers_onednn() and torch.backends.mkldnn.enabled:
        by_onednn(a, b, total, add=True)
    else:
        total.addmm_(a, b)


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
    for (int i = 0; i < 3 && count == 4; i++) tensors[i] = PyLong_AsVoidPtr(args[i]);
    if (count != 4 || PyErr_Occurred()) return NULL;
    const float beta = args[3] == Py_True ? 1.0f : 0.0f;
    PyThreadState* state = PyEval_SaveThread();
    const char* failed = NULL;
    try {
        ((Matmul)address[0])(tensors[0], tensors[1], tensors[2], beta, 1.0f);
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
