"""A small C++ source, compiled once on this machine, kept in the cache folder, and imported."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import importlib.util
import logging
import os
import shutil
import subprocess
import sysconfig
import tempfile
import threading
import types
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tessera import precompiled_headers, torch_internals
from tessera.program.last_report import cache_folder

logger = logging.getLogger("tessera")

# What every source begins with. Addresses of other compiled code are handed over when it is loaded, so that the same
# source is the same library in every process.
HEADER = """
#define PY_SSIZE_T_CLEAN
#include <Python.h>

static void* address[ADDRESSES];

static PyObject* bind(PyObject* self, PyObject* const* args, Py_ssize_t count) {
    for (Py_ssize_t i = 0; i < count; i++) address[i] = PyLong_AsVoidPtr(args[i]);
    if (PyErr_Occurred()) return NULL;
    Py_RETURN_NONE;
}
"""
_TOLD = 2_000  # characters of what a compiler says
_DIGEST = 32  # bytes of the SHA-256 that an entry of the cache begins with


@dataclass(frozen=True)
class Extension:
    """An imported extension module and the bytes of its library."""

    module: types.ModuleType
    library: bytes


def load_cpp_extension(
    name: str,
    source: str,
    addresses: Sequence[int] = (),
    *,
    parallel: bool = False,
    fast: bool = False,
    compiler: str = "",
) -> Extension:
    """Compile a small C++ source and import it as an extension module.

    Args:
        source: what follows ``HEADER``; its methods include ``bind``.
        addresses: what the source finds in ``address``.
        parallel: for sources with OpenMP loops.
        fast: for sources that compute something: all that the compiler can do, for this processor.
        compiler: the one that Inductor uses by default.
    """
    source = f"#define ADDRESSES {len(addresses) + 1}\n{HEADER}{source}"
    flags = ["-shared", "-fPIC", f"-I{sysconfig.get_path('include')}", *(["-fopenmp"] if parallel else [])]
    flags += ["-O3", "-march=native", "-ffp-contract=fast"] if fast else ["-O1"]
    command = [compiler or torch_internals.cpp_compiler(), *flags]
    return import_library(name, compiled_library(name, source, command), addresses)


def compiled_library(name: str, source: str, command: Sequence[str], headers: str = "") -> bytes:
    """What ``command`` makes of a source, which is compiled only where the cache has not got it.

    Args:
        command: the compiler and its flags, without the names of files.
        headers: those that the source includes first, where they take long enough to be worth precompiling.

    Raises:
        RuntimeError: the compiler refuses, and what it says.
    """
    key = hashlib.sha256("\0".join([source, _version(command[0]), *command]).encode()).hexdigest()
    library = _cached(f"{name}-{key}")
    if library is None:
        library = _compiled(command, source) if not headers else _compiled_with(headers, command, source)
        _keep(f"{name}-{key}", library)
    return library


def import_library(name: str, library: bytes, addresses: Sequence[int] = ()) -> Extension:
    """Import the library of an extension module, with memory of its own: no two imports share their static state."""
    with tempfile.TemporaryDirectory(prefix=f"{name}_") as folder:  # the loaded library stays mapped
        path = Path(folder) / f"{name}.so"
        path.write_bytes(library)
        spec = importlib.util.spec_from_file_location(name, path)
        module = importlib.util.module_from_spec(spec)  # type: ignore[arg-type]
        spec.loader.exec_module(module)  # type: ignore[union-attr]
    module.bind(*addresses)
    return Extension(module, library)


def _compiled_with(headers: str, command: Sequence[str], source: str) -> bytes:
    if precompiled := precompiled_headers.flags(command, headers):
        try:
            return _compiled([*command, *precompiled], source)
        except RuntimeError:  # of them, or of the source: that is seen without them
            precompiled_headers.forget(command, headers)
    library = _compiled(command, source)
    precompiled_headers.write(command, headers)
    return library


def _compiled(command: Sequence[str], source: str) -> bytes:
    with tempfile.TemporaryDirectory(prefix="tessera_") as folder:
        written, library = Path(folder) / "source.cpp", Path(folder) / "library.so"
        written.write_text(source)
        command = [command[0], str(written), *command[1:], "-o", str(library)]  # libraries stand behind what needs them
        done = subprocess.run(command, check=False, capture_output=True, text=True, errors="replace")  # noqa: S603
        if done.returncode:
            raise RuntimeError(f"{command[0]} ended with {done.returncode}: {done.stderr.strip()[:_TOLD]}")
        return library.read_bytes()


@functools.cache
def _version(compiler: str) -> str:
    """What tells one compiler from the next under the same name, and whose Python it compiles for."""
    found = Path(shutil.which(compiler) or compiler).resolve()
    changed = found.stat().st_mtime_ns if found.exists() else 0
    return f"{found} {changed} {sysconfig.get_config_var('SOABI')}"


def _cached(name: str) -> bytes | None:
    """A library that was compiled before; None where there is none, or it is not what was written."""
    try:
        found = (cache_folder() / "extensions" / name).read_bytes()
    except (OSError, RuntimeError):
        return None
    digest, library = found[:_DIGEST], found[_DIGEST:]
    if hashlib.sha256(library).digest() == digest:
        return library
    logger.warning("a compiled library in the cache was damaged, and is compiled again: %s", name)
    return None


def _keep(name: str, library: bytes) -> None:
    """Put a library into the cache, whole or not at all; a folder that cannot be written is no error."""
    with contextlib.suppress(OSError, RuntimeError):
        folder = cache_folder() / "extensions"
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        mine = folder / f".{name}-{os.getpid()}-{threading.get_ident()}"
        try:
            mine.write_bytes(hashlib.sha256(library).digest() + library)
            mine.replace(folder / name)
        finally:
            mine.unlink(missing_ok=True)
