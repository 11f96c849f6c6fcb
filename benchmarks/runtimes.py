"""Each exported format in its own runtime, called as that runtime's users call it: nothing here goes through Tessera.

The exception is `.pt2`, which is run by `load_model`, for that is the door by which its users run it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

Call = Callable[[Tensor, Tensor], Tensor]  # ids, mask -> vectors
NAMES = ("input_ids", "attention_mask")


def onnx(path: Path) -> Call:
    """In onnxruntime."""
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])

    def call(*inputs: Tensor) -> Tensor:
        feed = {name: tensor.numpy() for name, tensor in zip(NAMES, inputs, strict=True)}
        return torch.from_numpy(session.run(None, feed)[0])

    return call


def package(path: Path) -> Call:
    """In torch's runtime for AOTInductor."""
    from tessera.export import load_model

    run = load_model(path)
    return lambda *inputs: run(*inputs)[0]


def executorch(path: Path) -> Call:
    """In ExecuTorch's runtime."""
    from executorch.runtime import Runtime

    program = Runtime.get().load_program(path)
    method = program.load_method("forward")
    return lambda *inputs: method.execute(inputs)[0].clone()  # its memory is the next answer's


def tflite(path: Path) -> Call:
    """In LiteRT's interpreter."""
    from ai_edge_litert.interpreter import Interpreter

    signature = Interpreter(str(path)).get_signature_runner()
    kinds = {name: each["dtype"] for name, each in signature.get_input_details().items()}

    def call(*inputs: Tensor) -> Tensor:
        named = dict(zip(NAMES, inputs, strict=True))
        answers = signature(**{name: named[name].numpy().astype(kind) for name, kind in kinds.items()})
        return torch.from_numpy(next(iter(answers.values())))

    return call


def openvino(path: Path) -> Call:
    """In OpenVINO, on the CPU, in fp32."""
    import openvino as runtime

    model = runtime.compile_model(path, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})

    def call(*inputs: Tensor) -> Tensor:
        feed = {name: tensor.numpy() for name, tensor in zip(NAMES, inputs, strict=True)}
        return torch.from_numpy(model(feed)[0])

    return call


RUNTIMES: dict[str, Callable[[Path], Call]] = {
    ".onnx": onnx,
    ".pt2": package,
    ".pte": executorch,
    ".tflite": tflite,
    ".xml": openvino,
}
