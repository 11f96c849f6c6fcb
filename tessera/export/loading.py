"""Runs an exported file without the model's code; nothing is traced or compiled.

A file from elsewhere is safe to load: compiled code (``.tessera``, ``.pt2``) runs only if this user wrote it or passed
its hash, and the runtimes of the others run in a process apart, where a file that brings one down does no harm.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import torch

from tessera.errors import ExportError
from tessera.export.aot_inductor import load_package
from tessera.export.apart import run_apart
from tessera.export.artefact import load_artefact
from tessera.export.example import Example
from tessera.export.format import Runner
from tessera.export.formats import format_of, require

_COMPILED = {".tessera": load_artefact, ".pt2": load_package}
_APART = {".onnx": "tessera.export.onnx", ".pte": "tessera.export.executorch"}  # each has a function `loader`


def load_model(path: str | os.PathLike[str], trust: str | None = None) -> Callable[..., list[torch.Tensor]]:
    """A function of the model's tensors, by position, that returns its answers in order, of the shapes it was given.

    Args:
        path: what ``tessera.export`` wrote as ``.tessera``, ``.pt2``, ``.onnx`` or ``.pte``. The last two run in a
            process apart, which costs a copy of inputs and answers: where calls are many and the file is one's own,
            their own runtimes are faster.
        trust: the hash of a ``.tessera`` or ``.pt2`` file that another user or machine wrote; its code is run.

    Raises:
        ExportError: another ending, a damaged or foreign file, or inputs that the file does not take.
        ArtefactError: a damaged or foreign artefact, or one that was compiled for other surroundings.
        MissingDependencyError: the packages of the format are not installed.

    Example:
        >>> run = load_model("model.tessera")
        >>> (scores,) = run(images)
    """
    run = _runner(Path(path), trust)
    return lambda *tensors: run(Example(tensors, (), ()))


def _runner(file: Path, trust: str | None) -> Runner:
    if file.suffix in _COMPILED:
        return _COMPILED[file.suffix](file, trust)
    if file.suffix not in _APART:
        raise ExportError(
            f"The file to load is {file.name!r}.",
            f"Tessera runs {', '.join([*_COMPILED, *_APART])}; the other formats have runtimes of their own.",
            "Export the model to one of these, or load the file with its own runtime.",
        )
    if trust is not None:
        raise ExportError(
            f"trust={trust!r} was passed for {file.name!r}.",
            f"The hash is for files that hold compiled code: {' and '.join(_COMPILED)}.",
            "Leave trust out.",
        )
    require(format_of(file), f"{file.name} is to be run")
    return run_apart(_APART[file.suffix], "loader", file)
