"""ONNX: written by torch.onnx, run in onnxruntime, compared with the model."""

from __future__ import annotations

import importlib
import logging
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from tessera.errors import ExportError, MissingDependencyError
from tessera.export.agreement import compare
from tessera.export.example import Dims, Example, Inputs
from tessera.export.exported import Exported
from tessera.train.modes import mode

_LARGEST_SINGLE_FILE = 2**31 - 2**20  # protobuf's limit, with room for the graph itself


def export_onnx(module: torch.nn.Module, path: Path, inputs: Inputs | None, dims: Dims | None) -> Exported:
    """Write ``module`` in eval mode to ``path`` and keep it there only if onnxruntime answers what the model answers.

    Weights of over two gigabytes go to a second file beside it, ``<name>.onnx.data``.

    Raises:
        MissingDependencyError: onnx, onnxscript or onnxruntime is not installed.
        ExportError: no example inputs, an operation ONNX cannot say, or a file that disagrees; that file is kept as
            ``<name>.onnx.rejected``.
    """
    for package in ("onnx", "onnxscript", "onnxruntime"):
        _require(package)
    with mode(module, training=False), tempfile.TemporaryDirectory(dir=path.parent) as folder:
        example = Example.of(module, inputs, dims)
        written = Path(folder) / path.name
        _program(module, example).save(written, external_data=_bytes(module) > _LARGEST_SINGLE_FILE)
        found = compare(module, _Runner(written), example)
        ending = "" if found.accepted else ".rejected"
        for file in Path(folder).iterdir():
            file.replace(path.parent / (file.name + ending))
    exported = Exported(path.with_name(path.name + ending), "onnx", found.max_error, found.accepted, found.reason)
    if not found.accepted:
        raise ExportError(
            f"{type(module).__name__} was written to {exported.path}, which does not agree with it. {found.reason}",
            "An exported file answers what the model answers in eval mode.",
            "Look for random numbers or sizes fixed in the code of forward, or fix all sizes with dims=({},).",
        )
    return exported


def _program(module: torch.nn.Module, example: Example) -> torch.onnx.ONNXProgram:
    traced = example.traceable()
    shapes = tuple(dict(names) for names in example.dims)
    named = dict(zip(example.names, traced.tensors, strict=True)) if example.names else None
    try:
        with _quiet(), torch.no_grad():
            program = torch.onnx.export(
                module,
                () if named else traced.tensors,
                kwargs=named,
                dynamo=True,
                verbose=False,
                dynamic_shapes=dict(zip(example.names, shapes, strict=True)) if named else shapes,
            )
    except Exception as error:
        raise ExportError(
            f"{type(module).__name__} could not be written as ONNX: {_cause(error)}",
            "A model is exported when its forward can be traced by torch.export and every operation exists in ONNX.",
            "Write branches on tensor values with torch.where or torch.cond, and fix sizes that the model fixes: "
            "dims=({},) fixes all.",
        ) from error
    if program is None:
        raise RuntimeError("torch.onnx.export returned no program")
    return program


class _Runner:
    """The written file in onnxruntime, on the CPU."""

    def __init__(self, path: Path) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3  # errors only
        self._session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])

    def __call__(self, example: Example) -> list[torch.Tensor]:
        inputs = self._session.get_inputs()
        named = dict(zip(example.names or [i.name for i in inputs], example.tensors, strict=True))
        feed = {i.name: named[i.name].cpu().numpy() for i in inputs}
        return [torch.from_numpy(answer) for answer in self._session.run(None, feed)]


@contextmanager
def _quiet() -> Iterator[None]:
    """The exporter's deprecations and remarks on packages that are not there concern nobody who exports a model."""
    logger = logging.getLogger("torch.onnx")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(before)


def _cause(error: BaseException) -> str:
    """The line that says what is wrong: the innermost cause's, since the exporter wraps it in advice."""
    while error.__cause__ is not None:
        error = error.__cause__
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def _bytes(module: torch.nn.Module) -> int:
    tensors: list[torch.Tensor] = [*module.parameters(), *module.buffers()]
    return sum(t.numel() * t.element_size() for t in tensors)


def _require(package: str) -> Any:
    try:
        return importlib.import_module(package)
    except ImportError as error:
        raise MissingDependencyError(
            f"An export to ONNX was asked for, and the package {package} is not installed.",
            "Writing and checking ONNX needs onnx, onnxscript and onnxruntime.",
            "Install them with: pip install onnx onnxscript onnxruntime",
        ) from error
