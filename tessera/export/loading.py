"""Runs an exported ``.tessera`` or ``.pt2`` file: without the model's code, and nothing is traced or compiled."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import torch

from tessera.errors import ExportError
from tessera.export.aot_inductor import load_package
from tessera.export.artefact import load_artefact
from tessera.export.example import Example

_LOADERS = {".tessera": load_artefact, ".pt2": load_package}


def load_model(path: str | os.PathLike[str], trust: str | None = None) -> Callable[..., list[torch.Tensor]]:
    """A function of the model's tensors, by position, that returns its answers in order, of the shapes it was given.

    Args:
        path: what ``tessera.export`` wrote. Other formats are run by their own runtimes.
        trust: the hash of the file, where another user or machine wrote it; its code is run.

    Raises:
        ExportError: another ending, or a damaged or foreign package.
        ArtefactError: a damaged or foreign artefact, or one that was compiled for other surroundings.

    Example:
        >>> run = load_model("model.tessera")
        >>> (scores,) = run(images)
    """
    file = Path(path)
    if file.suffix not in _LOADERS:
        raise ExportError(
            f"The file to load is {file.name!r}.",
            f"Tessera itself runs {' and '.join(_LOADERS)}; the other formats have runtimes of their own.",
            "Write for example onnxruntime.InferenceSession('model.onnx').",
        )
    run = _LOADERS[file.suffix](file, trust)
    return lambda *tensors: run(Example(tensors, (), ()))
