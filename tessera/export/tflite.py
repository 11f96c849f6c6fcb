"""TFLite: written by litert-torch, run in LiteRT.

A signature of the file has fixed sizes; a file for several sizes has a signature for each, over the same weights.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch.export import ExportedProgram

from tessera.export.empty_rows import ZerosSaid
from tessera.export.example import Example
from tessera.export.flat import FlatCall, output_names
from tessera.export.format import Format, Options, Runner, Written
from tessera.export.refused import refused
from tessera.export.stateless import check_no_state
from tessera.export.traced import quiet, traced

_ONLY = "serving_default"
_NARROWED = {torch.int64: torch.int32, torch.float64: torch.float32}


class _Named(torch.nn.Module):
    """The model with its inputs as keywords, which are the names in a signature."""

    def __init__(self, flat: FlatCall, inputs: tuple[str, ...]) -> None:
        super().__init__()
        self.flat, self.inputs = flat, inputs

    def forward(self, **tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
        with ZerosSaid():  # its own attention answers NaN there
            return self.flat(*(tensors[name] for name in self.inputs))


def write_tflite(flat: FlatCall, example: Example, path: Path, _: Options) -> Written:
    """Write the model for the sizes of the example, or for all that it is limited to; inputs under their names.

    Raises:
        ExportError: an operator that litert-torch does not know, or a model whose buffers change.
    """
    cases = {_name(sizes): example.resized(sizes).fixed() for sizes in example.only} or {_ONLY: example.fixed()}
    program = traced(flat, next(iter(cases.values())))
    check_no_state(flat, program, "TFLite")
    path.write_bytes(_converted(flat, program, cases))
    with torch.no_grad():
        answers = output_names(flat.answer(*example.tensors))
    notes = [f"Its signatures are {', '.join(cases)}."] * (len(cases) > 1)
    notes += [f"Its outputs output_0, output_1 and so on are {', '.join(answers)}."] * (len(answers) > 1)
    for name, tensor in zip(example.names, example.tensors, strict=True):
        if tensor.dtype in _NARROWED:
            notes.append(f"TFLite takes {name} as {str(_NARROWED[tensor.dtype]).removeprefix('torch.')}.")
    return Written(notes=notes)


def load_tflite(path: Path) -> Runner:
    """The file in LiteRT's interpreter, on the CPU; each call goes to the signature of its shapes."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(path))
    signatures = [interpreter.get_signature_runner(name) for name in interpreter.get_signature_list()]

    def run(example: Example) -> list[torch.Tensor]:
        named = dict(zip(example.names, example.tensors, strict=True))
        for signature in signatures:
            expected = signature.get_input_details()
            if all(tuple(each["shape"]) == tuple(named[name].shape) for name, each in expected.items()):
                given = {name: named[name].cpu().numpy().astype(each["dtype"]) for name, each in expected.items()}
                answers = signature(**given)
                return [torch.from_numpy(answers[f"output_{at}"].copy()) for at in range(len(answers))]
        shapes = ", ".join(f"{name} {list(tensor.shape)}" for name, tensor in named.items())
        raise ValueError(f"no signature of the file takes {shapes}")

    return run


def _name(sizes: Mapping[str, int]) -> str:
    """``B_8_S_64``."""
    return "_".join(f"{name}_{size}" for name, size in sizes.items()) or _ONLY


def _converted(flat: FlatCall, program: ExportedProgram, cases: Mapping[str, Example]) -> bytes:
    import litert_torch

    converter: Any = litert_torch  # its module and its converter have the same two methods
    try:
        with quiet(), torch.no_grad(), contextlib.redirect_stdout(io.StringIO()):  # it prints its progress
            for signature, case in cases.items():
                inputs = dict(zip(case.names, case.tensors, strict=True))
                converter = converter.signature(signature, _Named(flat, case.names).eval(), sample_kwargs=inputs)
            return converter.convert().model_content()
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
    options=frozenset({"sizes"}),
)
