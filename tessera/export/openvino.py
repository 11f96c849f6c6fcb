"""OpenVINO: its IR, a graph in `.xml` and weights in `.bin` beside it."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import torch
from torch.export import ExportedProgram

from tessera.export.empty_rows import say_zeros
from tessera.export.example import Example
from tessera.export.flat import FlatCall, output_names
from tessera.export.format import Format, Options, Runner, Written
from tessera.export.refused import refused
from tessera.export.stateless import check_no_state
from tessera.export.traced import quiet, traced


def write_openvino(flat: FlatCall, example: Example, path: Path, _: Options) -> Written:
    """Write the model to ``path`` and its weights, as precise as they are, to ``<name>.bin``.

    Raises:
        ExportError: an operator that OpenVINO does not know, or a model whose buffers change.
    """
    import openvino

    program = traced(flat, example)
    check_no_state(flat, program, "OpenVINO's IR")
    say_zeros(program)  # its own attention answers NaN there
    with torch.no_grad():
        answers = output_names(flat.answer(*example.tensors))
    model = _converted(flat, program)
    for port, name in zip(model.inputs, example.names, strict=True):
        port.get_tensor().set_names({name})
    for port, name in zip(model.outputs, answers, strict=True):
        port.get_tensor().add_names({name})
    model.reshape(dict(zip(model.inputs, _shapes(example), strict=True)))
    openvino.save_model(model, path, compress_to_fp16=False)
    return Written(
        operators=dict(Counter(op.get_type_name() for op in model.get_ops()).most_common()),
        notes=["OpenVINO may compute in bfloat16 where the processor does: INFERENCE_PRECISION_HINT f32 forbids it."],
    )


def load_openvino(path: Path) -> Runner:
    """The file in OpenVINO's runtime, on the CPU, in the precision of its weights."""
    import openvino

    runtime = openvino.Core()
    compiled = runtime.compile_model(runtime.read_model(path), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    request = compiled.create_infer_request()

    def run(example: Example) -> list[torch.Tensor]:
        answers = request.infer([tensor.cpu().contiguous().numpy() for tensor in example.tensors])
        return [torch.from_numpy(answers[port].copy()) for port in compiled.outputs]

    return run


def _converted(flat: FlatCall, program: ExportedProgram) -> Any:
    import openvino

    try:
        with quiet(), torch.no_grad():
            return openvino.convert_model(program)
    except Exception as error:
        raise refused(flat, program, "OpenVINO", error) from error


def _shapes(example: Example) -> list[Any]:
    """For every input its shape: what may change is free, up to the largest size that was declared."""
    from openvino import Dimension, PartialShape

    def dimension(size: int, name: str | None) -> Any:
        if name is None:
            return Dimension(size)
        most = example.most(name)
        return Dimension() if most is None else Dimension(0, most)

    return [
        PartialShape([dimension(size, axes.get(axis)) for axis, size in enumerate(tensor.shape)])
        for tensor, axes in zip(example.tensors, example.dims, strict=True)
    ]


FORMAT = Format(
    name="OpenVINO",
    endings=(".xml",),
    packages=("openvino",),
    install="pip install openvino",
    write=write_openvino,
    load=load_openvino,
)
