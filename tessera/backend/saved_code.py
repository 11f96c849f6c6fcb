"""Compiled Programs as bytes, and back: what Inductor wrote and compiled, without Inductor.

    wrapper     the Python function that Inductor wrote, cut down to its statements, with the kernels it calls
    native      the C function of ``native.py``, with the kernels it calls
    operators   what the wrapper calls by a name of ours: updates of many tensors, rows in chunks, time loops

Whatever a wrapper needs that torch has not without Inductor is a reason not to save it. Loading runs the bytes that it
is given: see ``tessera.artefact`` for whose they are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from types import SimpleNamespace
from typing import Any

import torch

from tessera import torch_internals
from tessera.artefact.archive import Members
from tessera.backend.inductor import Executable
from tessera.backend.kernel_library import address_of, is_kernel, library_of, loaded_kernels
from tessera.backend.loops import loop
from tessera.backend.loops.body import Like
from tessera.backend.loops.compiled_loop import CompiledLoop
from tessera.backend.loops.native_loop import NAME as LOOP
from tessera.backend.loops.native_loop import NativeLoop
from tessera.backend.loops.native_loop import bound_to as addresses_of_loop
from tessera.backend.memory import fence as fence
from tessera.backend.memory.together import Layout, Together, put_together
from tessera.backend.memory_pool import MemoryPool
from tessera.backend.native import NAME as NATIVE
from tessera.backend.native import NativeProgram
from tessera.backend.portable_wrapper import CannotSave, library_calls, portable
from tessera.backend.products import prefers_onednn, with_products
from tessera.backend.rows import chunked
from tessera.backend.update_kernel import NAME as UPDATE
from tessera.backend.update_kernel import UPDATE_KERNELS, UpdateKernel, bound_to
from tessera.backend.wrapper_reader import Buffer
from tessera.cpp_extension import import_library
from tessera.optim import eigenbasis as eigenbasis
from tessera.program import Compilation

Read = Callable[[str], bytes]
# What wrappers call products and convolutions by; each is torch's function of that name.
_LIBRARY = ("mm", "bmm", "addmm", "baddbmm", "convolution")


def save_executable(executable: Executable, members: Members) -> dict[str, Any]:
    """A compiled Program as plain values, its code among ``members``.

    Raises:
        CannotSave: it calls something that is not there without Inductor.
    """
    native = executable.native
    if native is None:
        together = {"layout": asdict(executable.call.layout)} if isinstance(executable.call, Together) else {}
        return {"wrapper": _save_wrapper(executable.wrapper, members), **together}
    return {
        "native": {
            "library": members.add(native.extension.library, "code", ".so"),
            "kernels": _save_kernels(native.kernels, members),
            "results": [[b.shape, b.strides, _dtype_name(b.dtype)] for b in native.results],
        }
    }


def load_executable(saved: dict[str, Any], read: Read, compilation: Compilation) -> Executable:
    """The executable that ``save_executable`` saved.

    Args:
        read: a member's bytes by its name.
        compilation: what the Report says of it.
    """
    if "native" not in saved:
        output = _load_wrapper(saved["wrapper"], read)
        if "layout" not in saved:
            return Executable(torch_internals.without_gradients(output.call), output, None, compilation)
        together = put_together(output, Layout(**saved["layout"]))
        together.tell(compilation)
        return Executable(together, output, None, compilation)
    parts = saved["native"]
    kernels = _load_kernels(parts["kernels"], read)
    addresses = [torch_internals.tensor_data_pointer_function(), *map(address_of, kernels)]
    extension = import_library(NATIVE, read(parts["library"]), addresses)
    results = tuple(Buffer(tuple(shape), tuple(strides), _dtype(dtype)) for shape, strides, dtype in parts["results"])
    native = NativeProgram(results, extension, tuple(kernels))
    return Executable(native, torch_internals.InductorOutput(native, "", {}), native, compilation)


def _save_wrapper(output: torch_internals.InductorOutput, members: Members) -> dict[str, Any]:
    source, names, operators = portable(output.source)
    known = torch_internals.wrapper_names()
    for operator in operators.keys() - _SAVED.keys() - _ALONE:
        raise CannotSave(f"its code calls tessera::{operator}, which this process alone knows")
    kernels, constants = {}, {}
    for name in sorted(names - {"extern_kernels"}):
        value = output.names.get(name)
        if is_kernel(value):
            kernels[name] = _save_kernel(value, members)
        elif isinstance(value, torch.Tensor):
            constants[name] = _save_tensor(value, members)
        elif name not in known:
            raise CannotSave(f"its code calls {name}, which belongs to torch's compiler")
    for name in library_calls(source) - {*_LIBRARY}:
        raise CannotSave(f"its code calls extern_kernels.{name}, which belongs to torch's compiler")
    return {
        "source": members.add(source.encode(), "code", ".py"),
        "kernels": kernels,
        "constants": constants,
        "operators": {
            name: {key: _SAVED[name](key, members) for key in keys} for name, keys in operators.items() if keys
        },
    }


def _load_wrapper(saved: dict[str, Any], read: Read) -> torch_internals.InductorOutput:
    for operator, entries in saved["operators"].items():
        for key, entry in entries.items():
            _LOADED[operator](key, entry, read)
    library = SimpleNamespace(**{name: getattr(torch, name) for name in _LIBRARY})
    names = torch_internals.wrapper_names() | {
        "extern_kernels": with_products(library) if prefers_onednn() else library,
        "empty_strided_cpu": MemoryPool().allocate,
    }
    names |= zip(saved["kernels"], _load_kernels(saved["kernels"].values(), read), strict=True)
    names |= {name: _load_tensor(entry, read) for name, entry in saved["constants"].items()}
    source = read(saved["source"]).decode()
    exec(compile(source, f"<{saved['source']}>", "exec"), names)  # noqa: S102 - its hash was checked: see archive.py
    return torch_internals.InductorOutput(names["call"], source, names)


def _save_kernels(kernels: Sequence[Any], members: Members) -> list[tuple[str, int]]:
    return [_save_kernel(kernel, members) for kernel in kernels]


def _save_kernel(kernel: Any, members: Members) -> tuple[str, int]:
    library, number = library_of(kernel)
    return members.add(library, "code", ".so"), number


def _load_kernels(saved: Iterable[tuple[str, int]], read: Read) -> list[Any]:
    """Kernels in the order in which they were saved; each library is loaded once."""
    wanted: dict[str, set[int]] = {}
    for library, number in saved:
        wanted.setdefault(library, set()).add(number)
    found = {
        (library, number): kernel
        for library, numbers in wanted.items()
        for number, kernel in zip(numbers, loaded_kernels(read(library), numbers), strict=True)
    }
    return [found[library, number] for library, number in saved]


def _save_tensor(value: torch.Tensor, members: Members) -> dict[str, Any]:
    if value.layout is not torch.strided or value.device.type != "cpu":
        raise CannotSave(f"it holds a constant on {value.device}")
    content = value.detach().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes() if value.numel() else b""
    described = {"shape": list(value.shape), "strides": list(value.stride()), "dtype": _dtype_name(value.dtype)}
    return {"content": members.add(content), **described}


def _load_tensor(saved: dict[str, Any], read: Read) -> torch.Tensor:
    content, dtype = bytearray(read(saved["content"])), _dtype(saved["dtype"])
    flat = torch.frombuffer(content, dtype=dtype) if content else torch.empty(0, dtype=dtype)
    value = torch.empty_strided(saved["shape"], saved["strides"], dtype=dtype)
    return value.copy_(flat.reshape(saved["shape"]))


def _save_update(formula: str, members: Members) -> dict[str, Any]:
    kernel = UPDATE_KERNELS[formula]
    library = members.add(kernel.extension.library, "code", ".so")
    return {"library": library, "kernels": _save_kernels(kernel.kernels, members)}


def _load_update(formula: str, saved: dict[str, Any], read: Read) -> None:
    if formula not in UPDATE_KERNELS:
        kernels = _load_kernels(saved["kernels"], read)
        extension = import_library(UPDATE, read(saved["library"]), bound_to(kernels))
        UPDATE_KERNELS[formula] = UpdateKernel(extension, tuple(kernels))


def _save_region(region: str, members: Members) -> dict[str, Any]:
    known = chunked.CHUNKED[region]
    return {
        "leads": known.leads,
        "rows": known.rows,
        "with_rows": [[shape, _dtype_name(dtype)] for shape, dtype in known.with_rows],
        "sums": [[shape, _dtype_name(dtype)] for shape, dtype in known.sums],
        "steps": [
            {
                "wrapper": _save_wrapper(step.output, members),
                "strides": step.strides,
                "bounds": step.bounds,
                "products": step.products,
            }
            for step in known.steps
        ],
    }


def _load_region(region: str, saved: dict[str, Any], read: Read) -> None:
    if region in chunked.CHUNKED:
        return
    with_rows, sums = ([(tuple(shape), _dtype(dtype)) for shape, dtype in saved[key]] for key in ("with_rows", "sums"))
    steps = [
        chunked.Step(
            _load_wrapper(step["wrapper"], read),
            [tuple(stride) for stride in step["strides"]],
            [(start, end) for start, end in step["bounds"]],
            step["products"],
        )
        for step in saved["steps"]
    ]
    chunked.CHUNKED[region] = chunked.Chunked(saved["leads"], saved["rows"], with_rows, sums, steps)


def _save_loop(name: str, members: Members) -> dict[str, Any]:
    known = loop.compiled_loop(name)
    laid_out = {key: [[one.shape, _dtype_name(one.dtype)] for one in getattr(known, key)] for key in ("carries", "ys")}
    if known.native is not None:
        library = members.add(known.native.extension.library, "code", ".so")
        return {"library": library, "kernels": _save_kernels(known.native.kernels, members), **laid_out}
    if known.output is None:
        raise CannotSave(known.note)
    return {"wrapper": _save_wrapper(known.output, members), **laid_out}


def _load_loop(name: str, saved: dict[str, Any], read: Read) -> None:
    if name not in loop.COMPILED:
        cpu = torch.device("cpu")
        carries, ys = ([Like(tuple(s), _dtype(d), cpu) for s, d in saved[key]] for key in ("carries", "ys"))
        if "library" not in saved:
            loop.COMPILED[name] = CompiledLoop(carries, ys, _load_wrapper(saved["wrapper"], read))
            return
        kernels = _load_kernels(saved["kernels"], read)
        extension = import_library(LOOP, read(saved["library"]), addresses_of_loop(kernels))
        loop.COMPILED[name] = CompiledLoop(carries, ys, native=NativeLoop(extension, tuple(kernels)))


# Operators of ours that are the same in every process, once these modules are imported.
_ALONE = {"fence", "refresh_bases"}

# Operators of ours whose first argument names what this process compiled.
_SAVED: dict[str, Callable[[str, Members], dict[str, Any]]] = {
    "update_many": _save_update,
    "in_chunks": _save_region,
    "loop": _save_loop,
}
_LOADED: dict[str, Callable[[str, dict[str, Any], Read], None]] = {
    "update_many": _load_update,
    "in_chunks": _load_region,
    "loop": _load_loop,
}


def _dtype_name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _dtype(name: str) -> torch.dtype:
    dtype: torch.dtype = getattr(torch, name)
    return dtype
