"""TFLite: written by litert-torch, run in LiteRT. A signature of the file has fixed sizes."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path

import torch
from torch.export import ExportedProgram

from tessera.export.example import Example
from tessera.export.flat import FlatCall, output_names
from tessera.export.format import Format, Options, Runner, Written
from tessera.export.refused import refused
from tessera.export.stateless import check_no_state
from tessera.export.traced import quiet, traced

_SIGNATURE = "serving_default"
_NARROWED = {torch.int64: torch.int32, torch.float64: torch.float32}


class _Named(torch.nn.Module):
    """The model with its inputs as keywords, which are the names in a signature."""

    def __init__(self, flat: FlatCall, inputs: tuple[str, ...]) -> None:
        super().__init__()
        self.flat, self.inputs = flat, inputs

    def forward(self, **tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return self.flat(*(tensors[name] for name in self.inputs))


def write_tflite(flat: FlatCall, example: Example, path: Path, _: Options) -> Written:
    """Write the model for the sizes of the example, its inputs and outputs under their names.

    Raises:
        ExportError: an operator that litert-torch does not know, or a model whose buffers change.
    """
    program = traced(flat, example.fixed())
    check_no_state(flat, program, "TFLite")
    inputs = dict(zip(example.names, example.tensors, strict=True))
    path.write_bytes(_converted(flat, program, _Named(flat, example.names), inputs))
    with torch.no_grad():
        answers = output_names(flat.answer(*example.tensors))
    notes = [f"Its outputs output_0, output_1 and so on are {', '.join(answers)}."] * (len(answers) > 1)
    for name, tensor in inputs.items():
        if tensor.dtype in _NARROWED:
            notes.append(f"TFLite takes {name} as {str(_NARROWED[tensor.dtype]).removeprefix('torch.')}.")
    return Written(notes=notes)


def load_tflite(path: Path) -> Runner:
    """The file in LiteRT's interpreter, on the CPU."""
    from ai_edge_litert.interpreter import Interpreter

    signature = Interpreter(str(path)).get_signature_runner(_SIGNATURE)
    expected = signature.get_input_details()
    outputs = [f"output_{at}" for at in range(len(signature.get_output_details()))]

    def run(example: Example) -> list[torch.Tensor]:
        named = dict(zip(example.names, example.tensors, strict=True))
        answers = signature(
            **{name: named[name].cpu().numpy().astype(each["dtype"]) for name, each in expected.items()}
        )
        return [torch.from_numpy(answers[name].copy()) for name in outputs]

    return run


def _converted(flat: FlatCall, program: ExportedProgram, named: _Named, inputs: dict[str, torch.Tensor]) -> bytes:
    import litert_torch

    try:
        with quiet(), torch.no_grad(), contextlib.redirect_stdout(io.StringIO()):  # it prints its progress
            return litert_torch.convert(named.eval(), sample_kwargs=inputs).model_content()
    except Exception as error:
        raise refused(flat, program, "TFLite", error) from error


FORMAT = Format(
    name="TFLite",
    endings=(".tflite",),
    packages=("litert_torch", "ai_edge_litert"),
    install="pip install litert-torch",
    write=write_tflite,
    load=load_tflite,
    takes_dynamic=False,
)
