"""TensorRT: an engine where it is installed; elsewhere the ONNX file made for it, and the command that builds one.

An engine is built by TensorRT on the GPU that it is for. Without TensorRT nothing can be built or checked, so nothing
of that name is written: the ONNX file is, checked in onnxruntime and against what TensorRT's parser documents.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from tessera.errors import ExportError, MissingDependencyError
from tessera.export.example import Example
from tessera.export.exported import Exported
from tessera.export.flat import FlatCall
from tessera.export.format import Format, Options, Runner, Written
from tessera.export.formula import most
from tessera.export.onnx import load_onnx, write_onnx
from tessera.export.tensorrt_operators import OPSET, SOURCE, problems

_TIMES_THE_EXAMPLE = 4  # the largest size of a profile, where none was declared


def profile(example: Example) -> dict[str, tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]]:
    """The smallest, usual and largest shape of every input with sizes that may change, as an optimisation profile."""
    sizes = example.sizes
    largest = {name: example.largest.get(name, _TIMES_THE_EXAMPLE * max(2, size)) for name, size in sizes.items()}
    longest = {name: length for name, each in example.formulas.items() if (length := most(each, largest)) is not None}
    return {
        name: (
            _shape(tensor, axes, example.lengths({each: example.least(each) for each in sizes})),
            _shape(tensor, axes, example.lengths(sizes)),
            _shape(tensor, axes, {**largest, **longest}),
        )
        for name, tensor, axes in zip(example.names, example.tensors, example.dims, strict=True)
        if axes
    }


def command(onnx_file: str, engine: str, example: Example) -> str:
    """The ``trtexec`` command that builds the engine of an ONNX file."""
    parts = [f"trtexec --onnx={onnx_file} --saveEngine={engine}"]
    shapes = profile(example)
    for at, option in enumerate(("minShapes", "optShapes", "maxShapes")):
        if shapes:
            said = (f"{name}:{'x'.join(map(str, each[at]))}" for name, each in shapes.items())
            parts.append(f"--{option}={','.join(said)}")
    return " ".join(parts)


def write_parsable(flat: FlatCall, example: Example, path: Path, options: Options) -> Written:
    """The ONNX file made for TensorRT's parser.

    Raises:
        ExportError: an operator that its documentation does not list.
    """
    import onnx

    written = write_onnx(flat, example, path, Options(opset=OPSET, metadata=options.metadata))
    for problem, where in problems(onnx.load(path, load_external_data=False)):
        raise ExportError(
            f"{type(flat.module).__name__} cannot be made a TensorRT engine: {problem}.",
            f"What its parser takes is written in {SOURCE}.",
            "Write that part with other operators, or see which formats take it with tessera export --try-all.",
            where,
        )
    return written


def write_engine(flat: FlatCall, example: Example, path: Path, options: Options) -> Written:
    """Build an engine on this machine's GPU, with one optimisation profile for the sizes that may change.

    Raises:
        ExportError: TensorRT refuses the model, with its words.
    """
    tensorrt: Any = importlib.import_module("tensorrt")
    onnx_file = path.with_suffix(".onnx")
    written = write_parsable(flat, example, onnx_file, options)
    logger = tensorrt.Logger(tensorrt.Logger.ERROR)
    builder = tensorrt.Builder(logger)
    network = builder.create_network(0)
    parser = tensorrt.OnnxParser(network, logger)
    if not parser.parse_from_file(str(onnx_file)):
        raise _refused(flat, "; ".join(str(parser.get_error(at)) for at in range(parser.num_errors)))
    config = builder.create_builder_config()
    config.clear_flag(tensorrt.BuilderFlag.TF32)  # answers are compared with float32's
    if shapes := profile(example):
        one = builder.create_optimization_profile()
        for name, (least, usual, most) in shapes.items():
            one.set_shape(name, least, usual, most)
        config.add_optimization_profile(one)
    engine = builder.build_serialized_network(network, config)
    if engine is None:
        raise _refused(flat, "its builder gave no engine")
    path.write_bytes(bytes(engine))
    return Written(
        operators=written.operators,
        decomposed=written.decomposed,
        notes=[*written.notes, "Built for this machine's GPU and this version of TensorRT."],
    )


def load_engine(path: Path) -> Runner:
    """The engine on this machine's GPU."""
    tensorrt: Any = importlib.import_module("tensorrt")
    runtime = tensorrt.Runtime(tensorrt.Logger(tensorrt.Logger.ERROR))
    engine = runtime.deserialize_cuda_engine(path.read_bytes())
    if engine is None:
        raise ValueError("TensorRT cannot read it")
    return lambda example: _answers(tensorrt, engine, example)


def _answers(tensorrt: Any, engine: Any, example: Example) -> list[torch.Tensor]:
    context = engine.create_execution_context()
    names = [engine.get_tensor_name(at) for at in range(engine.num_io_tensors)]
    given = dict(zip(example.names, example.tensors, strict=True))
    kept = []
    outputs = [name for name in names if engine.get_tensor_mode(name) == tensorrt.TensorIOMode.OUTPUT]
    for name in names:
        if name not in outputs:
            tensor = given[name].cuda().contiguous()
            kept.append(tensor)
            context.set_input_shape(name, tuple(tensor.shape))
            context.set_tensor_address(name, tensor.data_ptr())
    answers = []
    for name in outputs:
        dtype = getattr(torch, str(tensorrt.nptype(engine.get_tensor_dtype(name)).__name__).replace("bool_", "bool"))
        answers.append(torch.empty(tuple(context.get_tensor_shape(name)), dtype=dtype, device="cuda"))
        context.set_tensor_address(name, answers[-1].data_ptr())
    stream = torch.cuda.current_stream()
    if not context.execute_async_v3(stream.cuda_stream):
        raise RuntimeError("TensorRT could not run it")
    stream.synchronize()
    return [answer.cpu() for answer in answers]


def _instead(example: Example, path: Path, keep: Callable[[Format, Path], Exported]) -> MissingDependencyError:
    """What is written where TensorRT is not installed, and the error that says so."""
    onnx_file = path.with_suffix(".onnx")
    keep(_PARSABLE, onnx_file)
    return MissingDependencyError(
        f"{path.name!r} was asked for, and tensorrt is not installed: no engine was written, and none was tested.",
        f"{onnx_file} was written for it and agrees with the model in onnxruntime; an engine is built on the machine "
        "with the GPU that it is for.",
        f"Run there: {command(onnx_file.name, path.name, example)}",
    )


def _refused(flat: FlatCall, words: str) -> ExportError:
    return ExportError(
        f"{type(flat.module).__name__} could not be made a TensorRT engine: {words}.",
        "TensorRT's parser and builder take what their documentation lists, on a GPU that they support.",
        "Write that part with other operators, or see which formats take it with tessera export --try-all.",
    )


def _shape(tensor: torch.Tensor, axes: Any, sizes: dict[str, int]) -> tuple[int, ...]:
    return tuple(sizes[axes[at]] if at in axes else size for at, size in enumerate(tensor.shape))


_PARSABLE = Format(
    name="ONNX for TensorRT",
    endings=(".onnx",),
    packages=("onnx", "onnxscript", "onnxruntime"),
    install="pip install onnx onnxscript onnxruntime",
    write=write_parsable,
    load=load_onnx,
    options=frozenset({"metadata"}),
)
FORMAT = Format(
    name="TensorRT",
    endings=(".tensorrt", ".engine"),
    packages=("onnx", "onnxscript", "onnxruntime", "tensorrt"),
    install="pip install onnx onnxscript onnxruntime tensorrt",
    write=write_engine,
    load=load_engine,
    options=frozenset({"metadata"}),
    instead=_instead,
)
