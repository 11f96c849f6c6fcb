"""The C++ kernels of a Program, compiled a few sources at a time instead of one by one.

Inductor writes a source for each kernel, and its wrapper has every one compiled: a compiler takes 1.3 s for torch's
headers and 0.1 s for the kernel. Here the kernels of a wrapper are put into one source, or as many as there are cores
where there is work enough for them, each kernel in a namespace of its own, and a few lines bind it to Python.

The wrapper that Inductor writes makes a ``KernelLibrary`` where it would make an ``AsyncCompile`` (see
``torch_internals.inductor_settings``), hands it the sources and waits for the functions.
"""

from __future__ import annotations

import contextlib
import re
import types
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from tessera import torch_internals
from tessera.backend.compile_progress import stage
from tessera.cpp_extension import HEADER, compiled_library, import_library

NAME = "tessera_kernels"
WORTH_A_COMPILER = 64 << 10  # characters of source: half a second, besides the headers
LARGEST = 512 << 10  # characters of one source, so that a compiler needs no more memory than it is taken to
_HEADERS = "#define PY_SSIZE_T_CLEAN\n#include <Python.h>\n#include <torch/csrc/inductor/cpp_prefix.h>\n"
_KERNEL = re.compile(r"(?<![\w.>:])kernel\(")
_INCLUDE = re.compile(r"^\s*#\s*include\b.*$", re.MULTILINE)
_DEFINE = re.compile(r"^\s*#\s*(?:define|undef)\b", re.MULTILINE)


@dataclass(frozen=True)
class KernelSource:
    """A kernel that waits for its compiler: its C++ function ``kernel`` and the types of its arguments."""

    arguments: tuple[str, ...]
    text: str


class KernelLibrary:
    """What a wrapper hands the sources of its kernels to."""

    def __init__(self) -> None:
        self._inductor = torch_internals.async_compile()

    def __getattr__(self, name: str) -> Any:
        """All that is not a C++ kernel is Inductor's."""
        return getattr(self._inductor, name)

    def cpp_pybinding(self, argtypes: Sequence[str], source_code: str) -> KernelSource:
        """Called by a wrapper, once for each kernel; the name is Inductor's."""
        return KernelSource(tuple(argtypes), source_code)

    def wait(self, scope: dict[str, Any]) -> None:
        """Put a function in the place of each source among the global names of a wrapper."""
        self._inductor.wait(scope)
        waiting = _waiting.get()
        if waiting is None:
            _fill([scope])
        else:
            waiting.append(scope)


# Global names of wrappers whose kernels are compiled later.
_waiting: ContextVar[list[dict[str, Any]] | None] = ContextVar("waiting", default=None)


@contextlib.contextmanager
def compiled_together() -> Iterator[None]:
    """Compile the kernels of all wrappers that are made inside at the end: nobody may call them, or ask, before."""
    waiting: list[dict[str, Any]] = []
    token = _waiting.set(waiting)
    try:
        yield
    finally:
        _waiting.reset(token)
    _fill(waiting)


def _fill(scopes: Sequence[dict[str, Any]]) -> None:
    places = [(scope, name, v) for scope in scopes for name, v in scope.items() if isinstance(v, KernelSource)]
    if places:
        found = compiled_kernels(dict.fromkeys(kernel for _, _, kernel in places), torch_internals.compile_threads())
        for scope, name, kernel in places:
            scope[name] = found[kernel]


def compiled_kernels(kernels: Iterable[KernelSource], workers: int) -> dict[KernelSource, Any]:
    """A Python function for each kernel.

    Args:
        kernels: no two alike.
        workers: how many compilers may run at once.

    Raises:
        RuntimeError: the compiler refuses a source.
    """
    groups = grouped(list(kernels), workers)
    stage(f"{sum(map(len, groups))} C++ kernels")
    command = torch_internals.kernel_compiler()
    sources = [_source(group) for group in groups]
    with ThreadPoolExecutor(max(1, workers)) as pool:
        libraries = list(pool.map(lambda source: compiled_library(NAME, source, command, _HEADERS), sources))
    return {
        kernel: function
        for group, library in zip(groups, libraries, strict=True)
        for kernel, function in zip(group, loaded_kernels(library, range(len(group))), strict=True)
    }


def loaded_kernels(library: bytes, numbers: Iterable[int]) -> list[Any]:
    """Python functions for some of the kernels in a library."""
    module = import_library(NAME, library, [torch_internals.tensor_data_pointer_function()]).module
    module.library = library  # type: ignore[attr-defined]  # its file is gone
    return [getattr(module, f"call_{number}") for number in numbers]


def is_kernel(value: Any) -> bool:
    """Whether it is the Python function of a kernel."""
    return isinstance(value, types.BuiltinFunctionType) and hasattr(value.__self__, "library")


def library_of(kernel: Any) -> tuple[bytes, int]:
    """The library that a kernel is in, and its number there."""
    return kernel.__self__.library, int(kernel.__name__.removeprefix("call_"))


def address_of(kernel: Any) -> int:
    """The address of the C++ function that a kernel's Python function calls."""
    address: int = kernel.__self__.addresses()[library_of(kernel)[1]]
    return address


def grouped(kernels: Sequence[KernelSource], workers: int) -> list[list[KernelSource]]:
    """The kernels of each source, sources of about the same length; what defines macros has one of its own."""
    alone = [[kernel] for kernel in kernels if _DEFINE.search(kernel.text)]
    together = [kernel for kernel in kernels if not _DEFINE.search(kernel.text)]
    length = sum(len(kernel.text) for kernel in together)
    count = max(-(-length // LARGEST), min(workers, length // WORTH_A_COMPILER), 1)
    groups: list[list[KernelSource]] = [[] for _ in range(count)]
    lengths = [0] * count
    for kernel in sorted(together, key=lambda kernel: len(kernel.text), reverse=True):
        least = lengths.index(min(lengths))
        groups[least].append(kernel)
        lengths[least] += len(kernel.text)
    return [group for group in groups if group] + alone


def _source(kernels: Sequence[KernelSource]) -> str:
    includes = dict.fromkeys(line.strip() for kernel in kernels for line in _INCLUDE.findall(kernel.text))
    numbered = list(enumerate(kernels))
    return "\n".join(
        [
            "#define ADDRESSES 1",
            HEADER,
            *includes,
            *(_apart(n, kernel) for n, kernel in numbered),
            _BINDING,
            *(_bound(n, kernel) for n, kernel in numbered),
            _MODULE.format(
                addresses=", ".join(f"(void*)&kernels_{n}::kernel_{n}" for n, _ in numbered),
                methods="\n    ".join(f"METHOD(call_{n})," for n, _ in numbered),
                name=NAME,
            ),
        ]
    )


def _apart(number: int, kernel: KernelSource) -> str:
    text = _KERNEL.sub(f"kernel_{number}(", _INCLUDE.sub("", kernel.text))
    return f"namespace kernels_{number} {{\n{text}\n}}"


def _bound(number: int, kernel: KernelSource) -> str:
    count = len(kernel.arguments)
    values = "\n    ".join(f"const auto a{n} = argument<{kind}>(args[{n}]);" for n, kind in enumerate(kernel.arguments))
    return _CALL.format(number=number, count=count, values=values, arguments=", ".join(f"a{n}" for n in range(count)))


_BINDING = """
#include <exception>
#include <type_traits>

template <typename T> static inline T argument(PyObject* value) {
    if constexpr (std::is_pointer_v<T>) return (T)((void* (*)(PyObject*))address[0])(value);
    else if constexpr (std::is_floating_point_v<T>) return (T)PyFloat_AsDouble(value);
    else if constexpr (std::is_unsigned_v<T>) return (T)PyLong_AsSize_t(value);
    else return (T)PyLong_AsSsize_t(value);
}

static PyObject* counted(Py_ssize_t count, Py_ssize_t expected) {
    return PyErr_Format(PyExc_TypeError, "a kernel of %zd arguments was called with %zd", expected, count);
}
"""

_CALL = """
static PyObject* call_{number}(PyObject*, PyObject* const* args, Py_ssize_t count) {{
    if (count != {count}) return counted(count, {count});
    {values}
    if (PyErr_Occurred()) return nullptr;
    try {{
        kernels_{number}::kernel_{number}({arguments});
        Py_RETURN_NONE;
    }} catch (const std::exception& error) {{
        PyErr_SetString(PyExc_RuntimeError, error.what());
    }} catch (...) {{
        PyErr_SetString(PyExc_RuntimeError, "a kernel failed");
    }}
    return nullptr;
}}
"""

_MODULE = """
static PyObject* addresses(PyObject*, PyObject* const*, Py_ssize_t) {{
    void* const all[] = {{ {addresses} }};
    const Py_ssize_t count = sizeof(all) / sizeof(*all);
    PyObject* found = PyTuple_New(count);
    for (Py_ssize_t i = 0; found && i < count; i++) PyTuple_SetItem(found, i, PyLong_FromVoidPtr(all[i]));
    return found;
}}

#define METHOD(name) {{#name, (PyCFunction)(void (*)(void))name, METH_FASTCALL, nullptr}}
static PyMethodDef methods[] = {{
    METHOD(bind),
    METHOD(addresses),
    {methods}
    {{nullptr, nullptr, 0, nullptr}},
}};
static struct PyModuleDef definition = {{PyModuleDef_HEAD_INIT, "{name}", nullptr, -1, methods}};
PyMODINIT_FUNC PyInit_{name}(void) {{ return PyModule_Create(&definition); }}
"""
