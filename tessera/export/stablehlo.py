"""StableHLO: written by torchax through JAX, as `jax.export` keeps it, and run by JAX."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from tessera.errors import ExportError, MissingDependencyError
from tessera.export.example import Example
from tessera.export.flat import FlatCall
from tessera.export.format import Format, Options, Runner, Written
from tessera.export.refused import refused
from tessera.export.stateless import check_no_state
from tessera.export.traced import quiet, traced


def write_stablehlo(flat: FlatCall, example: Example, path: Path, _: Options) -> Written:
    """Write the model, weights inside, in the numbers that it has (64 bits stay 64).

    Raises:
        MissingDependencyError: torchax is not there.
        ExportError: torchax cannot be imported beside this torch, an operator that it does not know, or a model whose
            buffers change.
    """
    import jax
    import jax.export

    to_jax = _translator()
    program = traced(flat, example)
    check_no_state(flat, program, "StableHLO")
    try:
        with quiet(), torch.no_grad(), jax.enable_x64(True):
            weights, function = to_jax(program)
            call = jax.jit(lambda *tensors: function(weights, tensors))
            content = jax.export.export(call)(*_arguments(example)).serialize()
    except Exception as error:
        raise refused(flat, program, "StableHLO", error) from error
    path.write_bytes(content)
    return Written(
        notes=["jax.export.deserialize reads it; its mlir_module_serialized is StableHLO's portable bytecode."]
    )


def load_stablehlo(path: Path) -> Runner:
    """The file in JAX, on the CPU."""
    import jax
    import jax.export

    exported = jax.export.deserialize(bytearray(path.read_bytes()))

    def run(example: Example) -> list[torch.Tensor]:
        with jax.enable_x64(True):
            answers = exported.call(*[jax.dlpack.from_dlpack(tensor.contiguous()) for tensor in example.tensors])
            return [torch.utils.dlpack.from_dlpack(answer).clone() for answer in answers]

    return run


def _translator() -> Any:
    try:
        from torchax.export import exported_program_to_jax
    except ImportError as error:
        raise MissingDependencyError(
            "An export to StableHLO was asked for, and the package torchax is not installed.",
            "Writing StableHLO needs torchax, and checking it needs jax.",
            "Install them with: pip install torchax jax",
        ) from error
    except AttributeError as error:  # torchax 0.0.13 looks up operators that torch 2.13 does not have
        raise ExportError(
            f"An export to StableHLO was asked for, and torchax cannot be imported beside torch {torch.__version__}: "
            f"{error}.",
            "Nothing else that is kept up writes a torch model as StableHLO, and torchax 0.0.13 is for torch 2.12.",
            "Export with torch 2.12, or to .onnx or .tflite.",
        ) from error
    return exported_program_to_jax


def _arguments(example: Example) -> list[Any]:
    """Shape and dtype of every input, sizes that may change as JAX's symbols."""
    import jax
    import jax.export

    symbols = {name: f"d{at}" for at, name in enumerate(example.sizes)}
    bounds = [f"{symbols[name]} <= {size}" for name, size in example.largest.items() if name in symbols]
    bounds += [f"{symbols[name]} >= {size}" for name, size in example.smallest.items() if name in symbols]
    scope = jax.export.SymbolicScope(bounds)
    names = jax.export.symbolic_shape(", ".join(symbols.values()), scope=scope) if symbols else ()
    lengths = example.lengths(dict(zip(symbols, names, strict=True)))
    arguments = []
    for tensor, axes in zip(example.tensors, example.dims, strict=True):
        shape = tuple(lengths[axes[axis]] if axis in axes else size for axis, size in enumerate(tensor.shape))
        arguments.append(jax.ShapeDtypeStruct(shape, str(tensor.dtype).removeprefix("torch.")))
    return arguments


FORMAT = Format(
    name="StableHLO",
    endings=(".stablehlo",),
    packages=("jax",),
    install="pip install torchax jax",
    write=write_stablehlo,
    load=load_stablehlo,
)
