"""A loop as one C call: no Python between its turns.

The wrapper that Inductor wrote for the turn is read as a schedule of kernels and products. The kernels are called by
their addresses; a product with a factor that all turns share is our own, which lays that factor out once.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from tessera import torch_internals
from tessera.backend.kernel_library import address_of
from tessera.backend.loops.body import Body, Like
from tessera.backend.loops.packed_product import SOURCE
from tessera.backend.wrapper_reader import Buffer, Pointer, Product, Schedule, read_wrapper
from tessera.cpp_extension import Extension, load_cpp_extension

NAME = "tessera_loop"
LARGEST_ARENA = 64 << 20  # bytes of intermediate buffers
_ALIGNMENT = 64
_SMALLEST_SHARED = 1 << 18  # multiplications; below, a product is over before another thread has begun (measured)
_C_TYPES = {torch.float32: "float", torch.float64: "double"}


@dataclass(frozen=True)
class NativeLoop:
    """``module.run(tensors, turns, reverse)``; the tensors are those of the turn, stacks whole and carries twice.

    Attributes:
        extension: holds the module.
        kernels: what it calls, in the order of the addresses that it is bound to.
    """

    extension: Extension
    kernels: tuple[Any, ...]

    def __call__(self, tensors: list[Tensor], turns: int, *, reverse: bool) -> None:
        self.extension.module.run(tensors, turns, int(reverse))


def make_native_loop(body: Body, output: torch_internals.InductorOutput, parts: int) -> NativeLoop | None:
    """The C form of a loop, or None where its turn needs more than kernels and products.

    Args:
        body: the turn, of which ``output`` is what Inductor made.
        parts: how many threads run it side by side, each on as many rows as ``body`` has.
    """
    layouts = [_layout(one) for one in (*body.operands, *body.carries, *body.ys)]
    schedule = output.source and read_wrapper(output.source, [one.dtype for one in layouts], layouts)
    if not schedule or schedule.outputs or not schedule.calls:
        return None
    if any(not _is_packable(body, schedule, call) for call in schedule.calls if isinstance(call, Product)):
        return None
    places, size = _arrange(schedule)
    if size > LARGEST_ARENA:
        return None
    names = list(dict.fromkeys(call.kernel for call in schedule.calls if not isinstance(call, Product)))
    kernels = tuple(output.names[name] for name in names)
    source = _source(body, schedule, places, size, names, parts)
    return NativeLoop(load_cpp_extension(NAME, source, bound_to(kernels), parallel=True, fast=True), kernels)


def bound_to(kernels: Sequence[Any]) -> list[int]:
    """The addresses that a loop is bound to when it is loaded."""
    return [torch_internals.tensor_data_pointer_function(), *map(address_of, kernels)]


def _layout(one: Like) -> Buffer:
    strides = torch.empty(one.shape, device="meta").stride()
    return Buffer(one.shape, tuple(strides), one.dtype)


def _is_packable(body: Body, schedule: Schedule, product: Product) -> bool:
    """Whether a product is one of float32 or float64 by a matrix that all turns share."""
    first = len(body.carries) + len(body.xs)
    shared = schedule.inputs[first : first + len(body.shared)]
    out, a, b, *added = product.layouts
    rows = [out, a, *(one for one in added if len(one.shape) == 2)]
    return (
        product.arguments[2].base in shared
        and {one.dtype for one in product.layouts} in ({torch.float32}, {torch.float64})
        and all(one.strides[1] == 1 or one.shape[1] == 1 for one in rows)
        and all(one.shape in (out.shape, out.shape[1:]) for one in added)
        and all(one.strides == (1,) for one in added if len(one.shape) == 1)
        and len(a.shape) == len(b.shape) == 2
    )


def _arrange(schedule: Schedule) -> tuple[dict[str, int], int]:
    """An offset for every intermediate buffer, and the bytes that they take together."""
    places, end = {}, 0
    for name, buffer in schedule.buffers.items():
        places[name] = end
        end += -(-buffer.bytes // _ALIGNMENT) * _ALIGNMENT
    return places, end


def _source(
    body: Body, schedule: Schedule, places: dict[str, int], size: int, kernels: Sequence[str], parts: int
) -> str:
    pointers = {name: f"p[{i}]" for i, name in enumerate(schedule.inputs)}
    pointers |= {name: f"(arena + {offset})" for name, offset in places.items()}

    def place(pointer: Pointer) -> str:
        return f"{pointers[pointer.base]} + {pointer.bytes}"

    turn: list[str] = []
    pack: list[str] = []
    for call in schedule.calls:
        if isinstance(call, Product):
            prepare, multiply = _product(call, place, len(pack), parts)
            pack.append(prepare)
            turn.append(multiply)
        else:
            types = ", ".join("void*" for _ in call.arguments)
            arguments = ", ".join(map(place, call.arguments))
            turn.append(f"((void (*)({types}))address[{1 + kernels.index(call.kernel)}])({arguments});")
    tensors = (*body.operands, *body.carries, *body.ys)
    return _TEMPLATE.format(
        product=SOURCE,
        carries=len(body.carries),
        xs=len(body.xs),
        shared=len(body.shared),
        ys=len(body.ys),
        bytes=", ".join(str(math.prod(one.shape) * one.dtype.itemsize) for one in tensors),
        parts=parts,
        arena=max(size, _ALIGNMENT),
        packed=len(pack),
        pack="\n    ".join(pack),
        turn="\n    ".join(turn),
    )


def _product(product: Product, place: Any, number: int, parts: int) -> tuple[str, str]:
    """C++ that lays out the shared factor, and that multiplies by it."""
    out, a, b, *added = product.layouts
    (rows, columns), inner, kind = out.shape, a.shape[1], _C_TYPES[out.dtype]
    to, left, right, *rest = (f"({kind}*)({place(pointer)})" for pointer in product.arguments)
    is_shared = parts == 1 and rows * inner * columns >= _SMALLEST_SHARED
    threads = torch.get_num_threads() if is_shared else 1
    more = rest[0] if rest else "nullptr"
    stride = added[0].strides[0] if added and len(added[0].shape) == 2 else 0
    prepare = (
        f"if (!(packed[{number}] = room(Packed<{kind}>::bytes({inner}, {columns})))) return false; "
        f"Packed<{kind}>::pack(({kind}*)packed[{number}], {right}, {inner}, {columns}, {b.strides[0]}, {b.strides[1]});"
    )
    multiply = (
        f"Packed<{kind}>::multiply({to}, {left}, (const {kind}*)packed[{number}], {more}, {rows}, {inner}, {columns}, "
        f"{out.strides[0]}, {a.strides[0]}, {stride}, {threads});"
    )
    return prepare, multiply


_TEMPLATE = """
#include <stdlib.h>
#include <atomic>
#include <exception>
{product}
enum {{
    CARRIES = {carries}, XS = {xs}, SHARED = {shared}, YS = {ys}, PARTS = {parts}, PACKED = {packed},
    FIRST_SHARED = CARRIES + XS, FIRST_NEW = FIRST_SHARED + SHARED, FIRST_Y = FIRST_NEW + CARRIES,
    TENSORS = FIRST_Y + YS
}};
static const Size ARENA = {arena};
static const Size bytes[TENSORS] = {{{bytes}}};  // of what one turn sees of each tensor, in one part of the rows

static void* room(Size count) {{ return aligned_alloc(64, (count + 63) / 64 * 64 + 64); }}

static bool pack_all(char** p, void** packed) {{
    {pack}
    return true;
}}

static void turn(char** p, char* arena, void** packed) {{
    {turn}
}}

static bool is_stack(int i) {{ return (i >= CARRIES && i < FIRST_SHARED) || i >= FIRST_Y; }}

// All turns for one part of the rows. Carries change places with the new ones at every turn.
static bool loop(char** tensors, void** packed, Size turns, bool reverse, int part) {{
    char *p[TENSORS], *arena = (char*)room(ARENA);
    Size step[TENSORS];
    if (!arena) return false;
    for (int i = 0; i < TENSORS; i++) {{
        const bool is_shared = i >= FIRST_SHARED && i < FIRST_NEW;
        step[i] = is_stack(i) ? bytes[i] * PARTS * (reverse ? -1 : 1) : 0;
        p[i] = tensors[i] + (is_shared ? 0 : part * bytes[i]) + (reverse ? -step[i] * (turns - 1) : 0);
    }}
    bool done = true;
    try {{
        for (Size t = 0; t < turns; t++) {{
            turn(p, arena, packed);
            for (int i = 0; i < CARRIES; i++) {{
                char* old = p[i];
                p[i] = p[FIRST_NEW + i];
                p[FIRST_NEW + i] = old;
            }}
            for (int i = 0; i < TENSORS; i++) p[i] += step[i];
        }}
    }} catch (...) {{
        done = false;  // an index that is out of range
    }}
    free(arena);
    return done;
}}

static bool run_all(char** tensors, Size turns, bool reverse) {{
    void* packed[PACKED + 1] = {{}};
    std::atomic<bool> done(pack_all(tensors, packed));
    if (done) {{
        #pragma omp parallel for schedule(static) num_threads(PARTS) if (PARTS > 1)
        for (int part = 0; part < PARTS; part++)
            if (!loop(tensors, packed, turns, reverse, part)) done = false;
    }}
    for (int i = 0; i < PACKED; i++) free(packed[i]);
    return done;
}}

static PyObject* run(PyObject* self, PyObject* const* args, Py_ssize_t count) {{
    void* (*const data_pointer)(PyObject*) = (void* (*)(PyObject*))address[0];
    if (count != 3 || !PyList_CheckExact(args[0]) || PyList_GET_SIZE(args[0]) != TENSORS)
        return PyErr_Format(PyExc_TypeError, "a list of %d tensors is expected", (int)TENSORS);
    char* tensors[TENSORS];
    for (int i = 0; i < TENSORS; i++) tensors[i] = (char*)data_pointer(PyList_GET_ITEM(args[0], i));
    const Size turns = PyLong_AsSsize_t(args[1]);
    const bool reverse = PyLong_AsLong(args[2]) != 0;
    if (PyErr_Occurred()) return NULL;
    bool done;
    Py_BEGIN_ALLOW_THREADS
    done = run_all(tensors, turns, reverse);
    Py_END_ALLOW_THREADS
    if (!done) return PyErr_Format(PyExc_RuntimeError, "a turn of a loop failed, or there was no memory for it");
    Py_RETURN_NONE;
}}

static PyMethodDef methods[] = {{
    {{"bind", (PyCFunction)(void (*)(void))bind, METH_FASTCALL, NULL}},
    {{"run", (PyCFunction)(void (*)(void))run, METH_FASTCALL, NULL}},
    {{NULL, NULL, 0, NULL}},
}};
static struct PyModuleDef definition = {{PyModuleDef_HEAD_INIT, "tessera_loop", NULL, -1, methods}};
PyMODINIT_FUNC PyInit_tessera_loop(void) {{ return PyModule_Create(&definition); }}
"""
