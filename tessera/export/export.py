"""One line from a model to a file, the format chosen by the file's ending."""

from __future__ import annotations

import os
from pathlib import Path

import torch

from tessera.errors import ExportError
from tessera.export.example import Dims, Inputs
from tessera.export.exported import Exported
from tessera.export.onnx import export_onnx
from tessera.export.safetensors import export_safetensors

ENDINGS = (".onnx", ".safetensors")


def export(
    module: torch.nn.Module,
    path: str | os.PathLike[str],
    example_inputs: Inputs | None = None,
    dims: Dims | None = None,
) -> Exported:
    """Write ``module`` to ``path`` and check the file against the model.

    ``.onnx`` holds the forward in eval mode and is compared in onnxruntime at several batch sizes; ``.safetensors``
    holds the weights and is compared tensor by tensor. A file that disagrees never lies under the name asked for.

    Args:
        module: any model; its mode and weights stay as they are.
        path: the file to write; missing folders are made.
        example_inputs: what the model is called with: a tensor, a tuple for several inputs, a dict for keyword
            arguments. Not needed for weights, nor for a model that was trained with ``fit``.
        dims: which dimensions may have another length in the file, by name, for each input: ``({0: "batch",
            1: "time"},)``, or a dict of such by keyword. Without it the first dimension is ``batch``; ``({},)`` fixes
            all. Inputs that use one name have one length.

    Returns:
        What was written and how far it is from the model: ``print`` it.

    Raises:
        ExportError: an unknown ending, no example, a model that cannot be written, or a file that disagrees.
        MissingDependencyError: the packages for the format are not installed.
    """
    target = Path(path)
    if target.suffix not in ENDINGS:
        raise ExportError(
            f"The file to export to is {target.name!r}.",
            f"The ending chooses the format: {' or '.join(ENDINGS)}.",
            f"Write for example model.export({target.stem + ENDINGS[0]!r}).",
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.suffix == ".onnx":
        return export_onnx(module, target, example_inputs, dims)
    return export_safetensors(module, target)
