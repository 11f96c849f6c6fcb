"""One cell of architectures times formats: what ``tessera.export`` said, and whether its file holds beyond its check.

A cell that passes is asked once more, by the format's runtime and not by Tessera, with numbers and sizes that the
export's own check never used: a file that answers otherwise there is a wrong file that nobody noticed.
"""

from __future__ import annotations

import dataclasses
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch

import tessera
from tessera.errors import TesseraError
from tessera.export.asked import read_example
from tessera.export.example import Example
from tests.export.architectures import ARCHITECTURES, Job
from tests.export.further_architectures import FURTHER
from tests.export.newcomers.listed import NEWCOMERS
from tests.export.stranger_architectures import STRANGERS

ALL: dict[str, Callable[[], Job]] = {**ARCHITECTURES, **FURTHER, **STRANGERS, **NEWCOMERS}
PASSED, REFUSED, WRONG = "passed", "refused", "WRONG"
_TIMES = 3  # how much longer than the example, and one more: no size that the export's check takes
_APART = 1e-3  # of the largest answer: more than any rounding of these small models


@dataclasses.dataclass(frozen=True)
class Cell:
    """What became of one architecture in one format.

    Attributes:
        outcome: ``passed``, ``refused`` with a named cause, ``WRONG`` for anything else.
        detail: the largest difference, or the cause.
    """

    name: str
    ending: str
    outcome: str
    detail: str
    seconds: float


def run_cell(name: str, ending: str) -> Cell:
    """Export one architecture to one format, and judge the file that came of it."""
    torch.manual_seed(0)
    module, inputs, dims = ALL[name]()
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"model{ending}"
        try:
            report = tessera.export(module, path, example_inputs=inputs, dims=dims, measure=False)
        except TesseraError as error:
            where = f" At {error.where}." if error.where else ""
            outcome = WRONG if path.exists() else REFUSED  # no file has the name that was asked for
            detail = f"{type(error).__name__}: {error.received}{where}".replace(folder, "")
        else:
            problem = _beyond(module, inputs, dims, path) if report.accepted else "the report does not accept it"
            outcome, detail = (WRONG, problem) if problem else (PASSED, report.reason)
    return Cell(name, ending, outcome, detail, time.perf_counter() - began)


def _beyond(module: torch.nn.Module, inputs: object, dims: object, path: Path) -> str:
    """What is wrong with the file where the export did not look; nothing: an empty string."""
    module.eval()
    flat, example = read_example(module, inputs, dims)
    run = RUNTIMES[path.suffix](path)
    for case in _unseen(example):
        with torch.no_grad():
            try:
                expected = flat(*case.tensors)
            except Exception:  # noqa: BLE001 - a size that the model itself does not take
                continue
        found = run(case.names, case.tensors)
        shapes = [tuple(tensor.shape) for tensor in found]
        if shapes != [tuple(tensor.shape) for tensor in expected]:
            return f"with {case.sizes} its shapes are {shapes}"
        for ours, theirs in zip(expected, found, strict=True):
            scale = ours.double().nan_to_num(0.0, 0.0, 0.0).abs().max().item() if ours.numel() else 0.0
            try:
                torch.testing.assert_close(
                    theirs.double(), ours.double(), rtol=0.0, atol=_APART * max(scale, 1e-3), equal_nan=True
                )
            except AssertionError as error:
                return f"with {case.sizes}: {' '.join(str(error).split())}"
    return ""


def _unseen(example: Example) -> list[Example]:
    """Fresh numbers at the example's sizes, and at sizes that the check leaves out."""
    sizes = example.sizes
    longer = {
        name: min(_TIMES * size + 1, example.largest.get(name, size * _TIMES + 1)) for name, size in sizes.items()
    }
    one_less = {name: max(1, size - 1) for name, size in sizes.items()}
    return [_fresh(example.resized(each), seed) for seed, each in enumerate(({}, longer, one_less))]


def _fresh(case: Example, seed: int) -> Example:
    generator = torch.Generator().manual_seed(1000 + seed)

    def drawn(tensor: torch.Tensor) -> torch.Tensor:
        if tensor.is_floating_point():
            return tensor if tensor.unique().numel() <= 2 else torch.randn(tensor.shape, generator=generator)
        return tensor.flatten()[torch.randperm(tensor.numel(), generator=generator)].view(tensor.shape)

    return dataclasses.replace(case, tensors=tuple(drawn(tensor) for tensor in case.tensors))


Run = Callable[[Sequence[str], Sequence[torch.Tensor]], list[torch.Tensor]]


def _onnx(path: Path) -> Run:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    taken = {each.name for each in session.get_inputs()}

    def run(names: Sequence[str], tensors: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        feed = {name: each.numpy() for name, each in zip(names, tensors, strict=True) if name in taken}
        return [torch.from_numpy(answer) for answer in session.run(None, feed)]

    return run


def _package(path: Path) -> Run:
    model = torch._inductor.aoti_load_package(str(path))
    return lambda _, tensors: list(model(*tensors))


def _pte(path: Path) -> Run:
    from executorch.runtime import Runtime

    program = Runtime.get().load_program(path.read_bytes())
    method = program.load_method("forward")

    def run(_: Sequence[str], tensors: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        answers = method.execute([each.contiguous() for each in tensors])
        return [answer.clone() for answer in answers if isinstance(answer, torch.Tensor)]

    run.program = program  # the method lives in it
    return run


def _openvino(path: Path) -> Run:
    import openvino

    compiled = openvino.Core().compile_model(str(path), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})

    def run(names: Sequence[str], tensors: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        answers = compiled({name: each.contiguous().numpy() for name, each in zip(names, tensors, strict=True)})
        return [torch.from_numpy(answers[port].copy()) for port in compiled.outputs]

    return run


RUNTIMES: dict[str, Callable[[Path], Run]] = {".onnx": _onnx, ".pt2": _package, ".pte": _pte, ".xml": _openvino}
