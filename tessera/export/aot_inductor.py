"""``.pt2``: the model compiled by AOTInductor for this processor; it runs in torch's C++ runtime, without Python.

The package holds compiled code, so one from elsewhere can do whatever its user can. Tessera loads a package that this
user wrote on this machine, or whose hash was passed; see ``signed_package``.
"""

from __future__ import annotations

import platform
import re
from pathlib import Path

import torch
from torch.export import ExportedProgram
from torch.export.graph_signature import InputKind

from tessera import torch_internals
from tessera.errors import ExportError
from tessera.export.complex_pairs import in_real_numbers
from tessera.export.example import Example
from tessera.export.flat import FlatCall
from tessera.export.format import Format, Options, Runner, Written
from tessera.export.signed_package import check_package, sign_package
from tessera.export.traced import line_of_node, operators, quiet, traced

_OF_COMPLEX_NUMBERS = frozenset({"_fft_c2c", "_fft_c2r", "_fft_r2c"})  # as a product a transform would be a large one
_LOST_SIZE = re.compile(r"KeyError: (s\d+)$", re.MULTILINE)


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
    program = in_real_numbers(traced(flat, example), example, but_for=_OF_COMPLEX_NUMBERS)
    try:
        with quiet(), torch.no_grad():
            torch_internals.write_package(program, str(path), dict(options.metadata or {}))
    except Exception as error:
        lost, scan = _LOST_SIZE.search(str(error)), torch_internals.scan_operator()
        loop = next((node for node in program.graph.nodes if node.target is scan), None)
        if lost is None or loop is None:
            raise
        raise ExportError(
            f"{type(flat.module).__name__} could not be written as AOTInductor: it runs a recurrent layer over a time "
            f"that is computed from {_called(lost[1], program, example)}.",
            "Inductor compiles a loop whose length is that of an input's dimension.",
            "Fix that size by leaving it out of dims, or export to .onnx or .pte.",
            line_of_node(loop),
        ) from error
    return Written(
        operators=operators(program),
        notes=[f"Compiled for {_processor()}, to run with torch {torch.__version__.partition('+')[0]}."],
    )


def _called(symbol: str, program: ExportedProgram, example: Example) -> str:
    """What a size is called that torch has a symbol for."""
    inputs = [node for node in program.graph.find_nodes(op="placeholder") if node.name in _inputs(program)]
    for node, axes in zip(inputs, example.dims, strict=True):
        for axis, name in axes.items():
            if str(node.meta["val"].shape[axis]) == symbol:
                return name
    return "another size"


def _inputs(program: ExportedProgram) -> list[str]:
    return [each.arg.name for each in program.graph_signature.input_specs if each.kind is InputKind.USER_INPUT]


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
