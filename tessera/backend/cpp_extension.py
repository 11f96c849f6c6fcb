"""A small C++ source, compiled and imported."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sysconfig
import tempfile
import types
from pathlib import Path

from tessera import torch_internals


def load_cpp_extension(name: str, source: str, *, parallel: bool = False) -> types.ModuleType:
    """Compile a small C++ source with the compiler that Inductor uses and import it as an extension module.

    ``parallel`` is for sources with OpenMP loops.
    """
    folder = Path(tempfile.mkdtemp(prefix=f"{name}_"))
    try:
        written, library = folder / f"{name}.cpp", folder / f"{name}.so"
        written.write_text(source)
        command = [torch_internals.cpp_compiler(), "-O1", "-shared", "-fPIC", f"-I{sysconfig.get_path('include')}"]
        command += ["-fopenmp"] if parallel else []
        subprocess.run([*command, str(written), "-o", str(library)], check=True, capture_output=True)  # noqa: S603
        spec = importlib.util.spec_from_file_location(name, library)
        module = importlib.util.module_from_spec(spec)  # type: ignore[arg-type]
        spec.loader.exec_module(module)  # type: ignore[union-attr]
        return module
    finally:
        shutil.rmtree(folder)  # the loaded library stays mapped
