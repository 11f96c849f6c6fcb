"""``.pt2``: the model compiled by AOTInductor for this processor; it runs in torch's C++ runtime, without Python.

The package holds compiled code, so one from elsewhere can do whatever its user can. Tessera loads a package that this
user wrote on this machine, or whose hash was passed; see ``signed_package``.
"""

from __future__ import annotations

import platform
from pathlib import Path

import torch

from tessera import torch_internals
from tessera.errors import ExportError
from tessera.export.example import Example
from tessera.export.flat import FlatCall
from tessera.export.format import Format, Options, Runner, Written
from tessera.export.signed_package import check_package, sign_package
from tessera.export.traced import operators, quiet, traced


def write_package(flat: FlatCall, example: Example, path: Path, options: Options) -> Written:
    """Compile the model, pack and sign it.

    Raises:
        ExportError: see ``compile_package``.
    """
    written = compile_package(flat, example, path, options)
    sign_package(path)
    return written


def compile_package(flat: FlatCall, example: Example, path: Path, options: Options) -> Written:
    """Compile the model and pack it, unsigned.

    Raises:
        ExportError: it cannot be traced or compiled, or another device than this machine's processor was asked for.
    """
    if options.target not in (None, "cpu"):
        raise ExportError(
            f"target={options.target!r} was passed for {path.name!r}.",
            "The package holds code that was compiled and run where it was written, and that is this processor.",
            "Write target='cpu', or export on a machine with that device; tessera.emit shows the code for one.",
        )
    program = traced(flat, example)
    with quiet(), torch.no_grad():
        torch_internals.write_package(program, str(path), dict(options.metadata or {}))
    return Written(
        operators=operators(program),
        notes=[f"Compiled for {_processor()}, to run with torch {torch.__version__.partition('+')[0]}."],
    )


def load_package(path: Path, trust: str | None = None) -> Runner:
    """A package that this user wrote on this machine, or whose hash is ``trust``, in torch's runtime.

    Raises:
        ExportError: it is damaged, or its code is not to be trusted; nothing of it was run.
    """
    check_package(path, trust)
    return _run(path)


def _run(path: Path) -> Runner:
    model = torch_internals.load_package(str(path))
    return lambda example: list(model(*example.tensors))


def _processor() -> str:
    return f"{platform.machine()} with {torch.backends.cpu.get_cpu_capability()}"


FORMAT = Format(
    name="AOTInductor",
    endings=(".pt2",),
    packages=("torch",),
    install="pip install torch",
    write=write_package,
    load=_run,  # what was written a moment ago in a folder of one's own
    keeps_state=True,
    options=frozenset({"metadata", "target"}),
)
