"""The product is C++: it is tested as a module of its own, made of its source."""

import torch

from tessera import torch_internals
from tessera.backend.loops.packed_product import SOURCE
from tessera.cpp_extension import load_cpp_extension
from tests.backend.loops.loops import draw

MODULE = """
#include <vector>
static PyObject* multiply(PyObject* self, PyObject* const* args, Py_ssize_t count) {
    void* (*const data_pointer)(PyObject*) = (void* (*)(PyObject*))address[0];
    double* p[4];
    Size n[4];
    for (int i = 0; i < 4; i++) p[i] = args[i] == Py_None ? nullptr : (double*)data_pointer(args[i]);
    for (int i = 0; i < 4; i++) n[i] = PyLong_AsSsize_t(args[4 + i]);
    const Size rows = n[0], inner = n[1], columns = n[2];
    void* packed = aligned_alloc(64, (Packed<double>::bytes(inner, columns) + 63) / 64 * 64 + 64);
    Packed<double>::pack((double*)packed, p[2], inner, columns, n[3] ? 1 : columns, n[3] ? inner : 1);
    Packed<double>::multiply(p[0], p[1], (double*)packed, p[3], rows, inner, columns, columns, inner, columns, 2);
    free(packed);
    Py_RETURN_NONE;
}
static PyMethodDef methods[] = {
    {"bind", (PyCFunction)(void (*)(void))bind, METH_FASTCALL, NULL},
    {"multiply", (PyCFunction)(void (*)(void))multiply, METH_FASTCALL, NULL},
    {NULL, NULL, 0, NULL},
};
static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, "products", NULL, -1, methods};
PyMODINIT_FUNC PyInit_products(void) { return PyModule_Create(&definition); }
"""


def test_products_of_all_small_sizes():
    function = torch_internals.tensor_data_pointer_function()
    source = "#include <stdlib.h>\n" + SOURCE + MODULE
    products = load_cpp_extension("products", source, [function], parallel=True, fast=True).module
    for rows in range(1, 27):
        for inner, columns in ((1, 1), (3, 16), (5, 17), (2, 33), (7, 31)):
            for turned in (0, 1):
                a, b, c = draw(rows, inner), draw(inner, columns), draw(rows, columns)
                out = torch.full((rows + 1, columns), 7.0, dtype=torch.float64)
                factor = b.t().contiguous() if turned else b
                for added in (None, c):
                    products.multiply(out, a, factor, added, rows, inner, columns, turned)
                    torch.testing.assert_close(out[:rows], a @ b + (0 if added is None else c))
                assert out[rows].eq(7).all()
