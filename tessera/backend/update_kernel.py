"""One compiled loop for many tensors that are updated by the same formula.

An optimizer treats every parameter alike. Written out tensor by tensor its update is most of what the C++ compiler has
to read; here the formula is compiled once, for ``CHUNK`` elements on one thread, and a small C function runs it over
all chunks of all tensors, shared out among the threads. The operator ``tessera::update_many`` stands for that call in
a Program's graph.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import fx

from tessera import torch_internals
from tessera.backend.kernel_library import address_of, compiled_together
from tessera.backend.wrapper_reader import Schedule, read_wrapper
from tessera.cpp_extension import Extension, load_cpp_extension

NAME = "tessera_update"
CHUNK = 1024  # elements for one call of the compiled loop: some KiB in the first-level cache
_BLOCK = 16  # chunks that one thread takes at a time


@dataclass(frozen=True)
class Operand:
    """A tensor the formula reads or writes: of the parameter's shape (``full``) or a single number."""

    full: bool
    dtype: torch.dtype
    written: bool


@dataclass(frozen=True)
class Formula:
    """Pointwise arithmetic on tensors of one shape and single numbers, without names or sizes.

    Attributes:
        operands: those written come first, a full one before all.
        nodes: the operations in order; each is a node of the graph the formula was found in.
        local: what stands for a node: ``operand`` or ``step`` and its position.
        writes: ``(operand, node of its new value)``.
        text: the formula written out; equal for all tensors that share it.
    """

    operands: tuple[Operand, ...]
    nodes: tuple[fx.Node, ...] = field(compare=False)
    local: dict[fx.Node, tuple[str, int]] = field(compare=False)
    writes: tuple[tuple[int, fx.Node], ...] = field(compare=False)
    text: str

    @property
    def name(self) -> str:
        """A name that is the same in every process: compiled code is kept on disk with it."""
        return hashlib.sha256(f"{self.operands}{self.text}".encode()).hexdigest()[:16]


@dataclass(frozen=True)
class UpdateKernel:
    """A compiled formula.

    Attributes:
        extension: the function ``run(sizes, written, read, threads)`` over all members.
        kernels: the loop over one chunk, then what is computed once a member, if anything.
    """

    extension: Extension
    kernels: tuple[Any, ...]


UPDATE_KERNELS: dict[str, UpdateKernel] = {}


def compile_formula(formula: Formula) -> bool:
    """Make ``update_many(formula.name, ...)`` work; False where the formula is more than one plain loop."""
    if formula.name not in UPDATE_KERNELS:
        kernel = _compile(formula)
        if kernel is None:
            return False
        UPDATE_KERNELS[formula.name] = kernel
    return True


_library = torch.library.Library("tessera", "FRAGMENT")
_library.define("update_many(str formula, int[] sizes, Tensor(a!)[] written, Tensor[] read) -> ()")


def _update_many(formula: str, sizes: list[int], written: list[torch.Tensor], read: list[torch.Tensor]) -> None:
    """Apply a compiled formula to ``len(sizes)`` members; the operands of one member stand together."""
    each_writes, each_reads = len(written) // len(sizes), len(read) // len(sizes)
    for i, value in enumerate(read):
        updated = written[i // each_reads * each_writes]
        # Inductor chooses the strides of a gradient; the loop walks through memory in the order of the parameter.
        if (
            value.dim()
            and value.stride() != updated.stride()
            and not (value.is_contiguous() and updated.is_contiguous())
        ):
            read[i] = torch.empty_like(updated, dtype=value.dtype).copy_(value)
    UPDATE_KERNELS[formula].extension.module.run(sizes, written, read, torch.get_num_threads())


_library.impl("update_many", _update_many, "CPU")
_library.impl("update_many", lambda *_: None, "Meta")
UPDATE_MANY = torch.ops.tessera.update_many.default


def _compile(formula: Formula) -> UpdateKernel | None:
    """Numbers that depend on the member are computed once for it, then the loop over its elements runs."""
    numbers = [n for n in formula.nodes if n.meta["val"].dim() == 0]
    loop = [n for n in formula.nodes if n.meta["val"].dim() > 0]
    needed = [n for n in numbers if any(user in formula.local and user in loop for user in n.users)]
    operands = list(enumerate(formula.operands))
    single = [i for i, operand in operands if not operand.full]

    def prepare(*values: torch.Tensor) -> list[torch.Tensor]:
        return _run(formula, numbers, dict(zip(single, values, strict=True)), {}, needed)

    def update(*values: torch.Tensor) -> list[torch.Tensor]:
        given = dict(zip(needed, values[len(operands) :], strict=True))
        return _run(formula, loop, dict(enumerate(values[: len(operands)])), given, [])

    def shape_of(operand: Operand) -> list[int]:
        return [CHUNK] if operand.full else []

    all_operands = [torch.empty(shape_of(o), dtype=o.dtype) for o in formula.operands]
    results = [torch.empty((), dtype=n.meta["val"].dtype) for n in needed]
    fake_mode = torch_internals.fake_mode_of([node.meta["val"] for node in formula.nodes])
    with compiled_together():
        inner = _compile_part(update, [*all_operands, *results], fake_mode)
        outer = _compile_part(prepare, [all_operands[i] for i in single], fake_mode) if numbers and inner else None
    if inner is None or (numbers and outer is None):
        return None
    names = [f"a[{i}]" for i, _ in operands] + [f"s[{i}]" for i in range(len(needed))]
    source = _TEMPLATE.format(
        operands=len(operands),
        written=sum(operand.written for operand in formula.operands),
        results=len(needed),
        chunk=CHUNK,
        block=_BLOCK,
        bytes=", ".join(str(o.dtype.itemsize if o.full else 0) for o in formula.operands),
        prepare=outer.call(2, [f"a[{i}]" for i in single], names[len(operands) :]) if outer else "",
        update=inner.call(1, names, []),
    )
    kernels = tuple(part.kernel for part in (inner, outer) if part is not None)
    extension = load_cpp_extension(NAME, source, bound_to(kernels), parallel=True)
    return UpdateKernel(extension, kernels)


def bound_to(kernels: Sequence[Any]) -> list[int]:
    """The addresses that the extension of an `UpdateKernel` is bound to."""
    return [torch_internals.tensor_data_pointer_function(), *map(address_of, kernels)]


def _run(
    formula: Formula,
    nodes: Sequence[fx.Node],
    operands: dict[int, torch.Tensor],
    known: dict[fx.Node, torch.Tensor],
    wanted: Sequence[fx.Node],
) -> list[torch.Tensor]:
    """Compute ``nodes``, write the operands they are the new values of, and return ``wanted``."""
    values = {n: operands[i] for n, (kind, i) in formula.local.items() if kind == "operand" and i in operands} | known
    for node in nodes:
        args, kwargs = fx.node.map_arg((node.args, node.kwargs), values.__getitem__)
        if node.target is torch.ops.aten.full.default:
            args = ([CHUNK], *args[1:])
        values[node] = node.target(*args, **kwargs)  # type: ignore[operator]
    for operand, source in formula.writes:
        if source in nodes:
            operands[operand].copy_(values[source])
    return [values[node] for node in wanted]


@dataclass(frozen=True)
class _Part:
    """A function that Inductor compiled to one kernel call."""

    output: torch_internals.InductorOutput
    schedule: Schedule

    @property
    def kernel(self) -> Any:
        return self.output.names[self.schedule.calls[0].kernel]

    def call(self, address: int, inputs: Sequence[str], outputs: Sequence[str]) -> str:
        """The call in C, given where the kernel's address stands and what to write for each input and output."""
        pointers = dict(zip(self.schedule.inputs, inputs, strict=True))
        pointers |= dict(zip(self.schedule.outputs, outputs, strict=True))
        (kernel,) = self.schedule.calls
        types = ", ".join("void*" for _ in kernel.arguments)
        return f"((void (*)({types}))address[{address}])({', '.join(pointers[a.base] for a in kernel.arguments)});"


def _compile_part(
    function: Callable[..., list[torch.Tensor]], examples: Sequence[torch.Tensor], fake_mode: Any
) -> _Part | None:
    fakes = [torch_internals.fake_copy(fake_mode, example) for example in examples]
    # Inside the mode, for a constant of full size has no operand that would bring it there.
    traced = torch_internals.trace(function, *fakes, fake_mode=fake_mode)
    output = torch_internals.compile_with_inductor(traced, fakes, threads=1)
    schedule = read_wrapper(output.source, [example.dtype for example in examples])
    if schedule is None or len(schedule.calls) != 1 or set(schedule.buffers) != set(schedule.outputs):
        return None
    if any(argument.offset for argument in schedule.calls[0].arguments):
        return None
    return _Part(output, schedule)


_TEMPLATE = """
#include <string.h>

enum {{ OPERANDS = {operands}, WRITTEN = {written}, RESULTS = {results}, CHUNK = {chunk}, BLOCK = {block} * CHUNK }};
typedef long long Number;  // room for any dtype
static const Py_ssize_t bytes[OPERANDS] = {{{bytes}}};  // of an element; 0: a single number for all elements

static void prepare(char** a, Number* results) {{
    char* s[RESULTS + 1];
    for (int i = 0; i < RESULTS; i++) s[i] = (char*)(results + i);
    {prepare}
}}

static void update(char** a, Number* results) {{
    char* s[RESULTS + 1];
    for (int i = 0; i < RESULTS; i++) s[i] = (char*)(results + i);
    {update}
}}

// The last elements of a tensor, fewer than a chunk, are updated in a copy.
static void update_tail(char** a, Number* results, Py_ssize_t count) {{
    alignas(64) static thread_local char room[OPERANDS][CHUNK * sizeof(Number)];
    char* copies[OPERANDS];
    for (int k = 0; k < OPERANDS; k++) {{
        copies[k] = bytes[k] ? room[k] : a[k];
        if (bytes[k]) memcpy(room[k], a[k], count * bytes[k]);
    }}
    update(copies, results);
    for (int k = 0; k < WRITTEN; k++)
        if (bytes[k]) memcpy(a[k], room[k], count * bytes[k]);
}}

static void update_block(char** operands, Number* results, Py_ssize_t from, Py_ssize_t to) {{
    char* a[OPERANDS];
    for (; from < to; from += CHUNK) {{
        for (int k = 0; k < OPERANDS; k++) a[k] = operands[k] + from * bytes[k];
        if (to - from >= CHUNK) update(a, results);
        else update_tail(a, results, to - from);
    }}
}}

static bool fill(char** operands, PyObject* list, Py_ssize_t members, int first, int count) {{
    if (!PyList_CheckExact(list) || PyList_GET_SIZE(list) != members * count) {{
        PyErr_Format(PyExc_TypeError, "a list of %zd tensors is expected", members * count);
        return false;
    }}
    void* (*const data_pointer)(PyObject*) = (void* (*)(PyObject*))address[0];
    for (Py_ssize_t m = 0; m < members; m++)
        for (int k = 0; k < count; k++)
            operands[m * OPERANDS + first + k] = (char*)data_pointer(PyList_GET_ITEM(list, m * count + k));
    return true;
}}

struct Members {{  // one block of memory for all arrays
    char** operands;
    Number* results;
    Py_ssize_t *sizes, *last;  // last: blocks up to and with this member
}};

static PyObject* update_all(Members of, PyObject* const* args, Py_ssize_t members) {{
    if (!fill(of.operands, args[1], members, 0, WRITTEN)) return NULL;
    if (!fill(of.operands, args[2], members, WRITTEN, OPERANDS - WRITTEN)) return NULL;
    Py_ssize_t blocks = 0;
    for (Py_ssize_t m = 0; m < members; m++) {{
        of.sizes[m] = PyLong_AsSsize_t(PyList_GET_ITEM(args[0], m));
        of.last[m] = blocks += (of.sizes[m] + BLOCK - 1) / BLOCK;
    }}
    const int threads = (int)PyLong_AsLong(args[3]);
    if (PyErr_Occurred()) return NULL;
    for (Py_ssize_t m = 0; m < members; m++) prepare(of.operands + m * OPERANDS, of.results + m * RESULTS);
    #pragma omp parallel for schedule(static) num_threads(threads) if (blocks > 1)
    for (Py_ssize_t block = 0; block < blocks; block++) {{
        Py_ssize_t m = 0, end = members - 1;  // the first member whose last block is not before this one
        while (m < end) {{
            const Py_ssize_t middle = (m + end) / 2;
            if (of.last[middle] > block) end = middle;
            else m = middle + 1;
        }}
        const Py_ssize_t from = (block - (m ? of.last[m - 1] : 0)) * BLOCK;
        const Py_ssize_t to = from + BLOCK < of.sizes[m] ? from + BLOCK : of.sizes[m];
        update_block(of.operands + m * OPERANDS, of.results + m * RESULTS, from, to);
    }}
    Py_RETURN_NONE;
}}

static PyObject* run(PyObject* self, PyObject* const* args, Py_ssize_t count) {{
    if (count != 4 || !PyList_CheckExact(args[0])) {{
        PyErr_SetString(PyExc_TypeError, "sizes, written, read and threads are expected");
        return NULL;
    }}
    const Py_ssize_t members = PyList_GET_SIZE(args[0]);
    static_assert(sizeof(char*) == sizeof(Number) && sizeof(Py_ssize_t) == sizeof(Number), "one size for all");
    Number* room = (Number*)PyMem_Malloc((members * (OPERANDS + RESULTS + 2) + 1) * sizeof(Number));
    if (!room) return PyErr_NoMemory();
    Members of = {{(char**)room, room + members * OPERANDS, NULL, NULL}};
    of.sizes = (Py_ssize_t*)(of.results + members * RESULTS);
    of.last = of.sizes + members;
    PyObject* result = update_all(of, args, members);
    PyMem_Free(room);
    return result;
}}

static PyMethodDef methods[] = {{
    {{"bind", (PyCFunction)(void (*)(void))bind, METH_FASTCALL, NULL}},
    {{"run", (PyCFunction)(void (*)(void))run, METH_FASTCALL, NULL}},
    {{NULL, NULL, 0, NULL}},
}};
static struct PyModuleDef definition = {{PyModuleDef_HEAD_INIT, "tessera_update", NULL, -1, methods}};
PyMODINIT_FUNC PyInit_tessera_update(void) {{ return PyModule_Create(&definition); }}
"""
