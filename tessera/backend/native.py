"""Runs a Program without Python between its kernels, and loops it.

A small C function is made for each Program whose wrapper only calls Inductor's own C++ kernels: it takes the data
pointers of the inputs, owns the memory of the intermediate buffers, and calls the compiled kernels in the wrapper's
order. Called once it saves the allocations and calls of the wrapper; called for many steps it advances the pointers of
the batch and of the results, so that a tiny model is not bound by Python at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from tessera import torch_internals
from tessera.backend.kernel_library import address_of
from tessera.backend.wrapper_reader import Buffer, Schedule, read_wrapper
from tessera.cpp_extension import Extension, load_cpp_extension

NAME = "tessera_native"
LARGEST_ARENA = 64 << 20  # bytes a Program may hold on to between calls
_ALIGNMENT = 64


@dataclass(frozen=True)
class NativeProgram:
    """A Program as one C call.

    Attributes:
        results: shape and dtype of each output; outputs are freshly allocated at every call.
        extension: the compiled functions ``run(outputs, inputs)`` and ``loop(steps, outputs, inputs, strides, stop)``.
        kernels: what it calls, in the order of the addresses that it is bound to.
    """

    results: tuple[Buffer, ...]
    extension: Extension
    kernels: tuple[Any, ...]

    def __call__(self, inputs: list[Any]) -> list[torch.Tensor]:
        empty = torch_internals.empty_strided_cpu
        outputs = [empty(b.shape, b.strides, b.dtype) for b in self.results]
        self.extension.module.run(outputs, inputs)
        inputs.clear()
        return outputs

    def loop(
        self, steps: int, inputs: Sequence[torch.Tensor], stacked: Sequence[int], stop: int | None
    ) -> tuple[int, list[torch.Tensor]]:
        """Run ``steps`` times.

        Args:
            inputs: as for a call, but those at the positions ``stacked`` have a leading dimension ``[steps, ...]``.
            stop: position of a boolean output; a False there ends the loop after that step.

        Returns:
            How many steps ran, and the outputs with a leading dimension ``[steps, ...]``.
        """
        outputs = [torch.empty((steps, *b.shape), dtype=b.dtype) for b in self.results]
        strides = [0] * (len(outputs) + len(inputs))
        for position, output in enumerate(outputs):
            strides[position] = output.stride(0) * output.itemsize
        for position in stacked:
            strides[len(outputs) + position] = inputs[position].stride(0) * inputs[position].itemsize
        ran = self.extension.module.loop(steps, outputs, list(inputs), strides, -1 if stop is None else stop)
        return ran, outputs


def make_native(output: torch_internals.InductorOutput, inputs: Sequence[Any]) -> NativeProgram | None:
    """The C form of what Inductor made, or None where something else than its own C++ kernels runs."""
    if not output.source or not all(isinstance(value, torch.Tensor) for value in inputs):
        return None
    schedule = read_wrapper(output.source, [value.dtype for value in inputs])
    if schedule is None or not schedule.calls or len(set(schedule.outputs)) != len(schedule.outputs):
        return None
    if not all(map(_is_dense, schedule.results)):
        return None
    places, size = _arrange(schedule)
    if size > LARGEST_ARENA:
        return None
    names = list(dict.fromkeys(call.kernel for call in schedule.calls))
    addresses = [address_of(output.names[name]) for name in names]
    source = _source(schedule, places, size, names)
    extension = load_cpp_extension(NAME, source, [torch_internals.tensor_data_pointer_function(), *addresses])
    return NativeProgram(schedule.results, extension, tuple(output.names[name] for name in names))


def _is_dense(buffer: Buffer) -> bool:
    return torch.empty_strided(buffer.shape, buffer.strides, device="meta").is_contiguous()


def _arrange(schedule: Schedule) -> tuple[dict[str, int], int]:
    """An offset in the arena for every buffer that is not an output."""
    places, end = {}, 0
    for name, buffer in schedule.buffers.items():
        if name not in schedule.outputs:
            places[name] = end
            end += -(-buffer.bytes // _ALIGNMENT) * _ALIGNMENT
    return places, end


def _source(schedule: Schedule, places: dict[str, int], size: int, kernels: Sequence[str]) -> str:
    pointers = {name: f"out[{i}]" for i, name in enumerate(schedule.outputs)}
    pointers |= {name: f"in[{i}]" for i, name in enumerate(schedule.inputs)}
    pointers |= {name: f"arena + {offset}" for name, offset in places.items()}
    lines = []
    for call in schedule.calls:
        arguments = [f"{pointers[a.base]} + {a.bytes}" for a in call.arguments]
        types = ", ".join("void*" for _ in call.arguments)
        lines.append(f"((void (*)({types}))address[{1 + kernels.index(call.kernel)}])({', '.join(arguments)});")
    return _TEMPLATE.format(
        inputs=len(schedule.inputs),
        outputs=len(schedule.outputs),
        size=max(size, 1),
        alignment=_ALIGNMENT,
        calls="\n        ".join(lines),
    )


_TEMPLATE = """
#include <exception>

enum {{ INPUTS = {inputs}, OUTPUTS = {outputs} }};
static char arena[{size}] __attribute__((aligned({alignment})));

// A kernel throws when an index is out of range.
static bool step(char** out, char** in) {{
    try {{
        {calls}
        return true;
    }} catch (const std::exception& error) {{
        PyErr_SetString(PyExc_RuntimeError, error.what());
    }} catch (...) {{
        PyErr_SetString(PyExc_RuntimeError, "a kernel failed");
    }}
    return false;
}}

static int fill(char** to, PyObject* list, Py_ssize_t expected) {{
    if (!PyList_CheckExact(list) || PyList_GET_SIZE(list) != expected) {{
        PyErr_Format(PyExc_TypeError, "a list of %zd tensors is expected", expected);
        return 0;
    }}
    void* (*const data_pointer)(PyObject*) = (void* (*)(PyObject*))address[0];
    for (Py_ssize_t i = 0; i < expected; i++) to[i] = (char*)data_pointer(PyList_GET_ITEM(list, i));
    return 1;
}}

static PyObject* run(PyObject* self, PyObject* const* args, Py_ssize_t count) {{
    char *out[OUTPUTS + 1], *in[INPUTS + 1];
    if (count != 2 || !fill(out, args[0], OUTPUTS) || !fill(in, args[1], INPUTS)) return NULL;
    if (!step(out, in)) return NULL;
    Py_RETURN_NONE;
}}

static PyObject* loop(PyObject* self, PyObject* const* args, Py_ssize_t count) {{
    char *at[OUTPUTS + INPUTS + 1];
    Py_ssize_t strides[OUTPUTS + INPUTS + 1];
    if (count != 5 || !fill(at, args[1], OUTPUTS) || !fill(at + OUTPUTS, args[2], INPUTS)) return NULL;
    const Py_ssize_t steps = PyLong_AsSsize_t(args[0]), stop = PyLong_AsSsize_t(args[4]);
    for (Py_ssize_t i = 0; i < OUTPUTS + INPUTS; i++) strides[i] = PyLong_AsSsize_t(PyList_GetItem(args[3], i));
    if (PyErr_Occurred()) return NULL;
    Py_ssize_t ran = 0;
    while (ran < steps) {{
        if (!step(at, at + OUTPUTS)) return NULL;
        ran++;
        if (stop >= 0 && !*at[stop]) break;
        for (Py_ssize_t i = 0; i < OUTPUTS + INPUTS; i++) at[i] += strides[i];
        if ((ran & 1023) == 0 && PyErr_CheckSignals()) return NULL;
    }}
    return PyLong_FromSsize_t(ran);
}}

static PyMethodDef methods[] = {{
    {{"bind", (PyCFunction)(void (*)(void))bind, METH_FASTCALL, NULL}},
    {{"run", (PyCFunction)(void (*)(void))run, METH_FASTCALL, NULL}},
    {{"loop", (PyCFunction)(void (*)(void))loop, METH_FASTCALL, NULL}},
    {{NULL, NULL, 0, NULL}},
}};
static struct PyModuleDef definition = {{PyModuleDef_HEAD_INIT, "tessera_native", NULL, -1, methods}};
PyMODINIT_FUNC PyInit_tessera_native(void) {{ return PyModule_Create(&definition); }}
"""
