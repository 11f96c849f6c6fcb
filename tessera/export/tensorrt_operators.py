"""Which ONNX operators TensorRT's parser documents, and what it asks of them.

Source: docs/operators.md of github.com/onnx/onnx-tensorrt at 96e7811 (17 June 2024), for TensorRT 10.0, opset 9 to 20.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tessera.errors import SourceLine
from tessera.export.traced import line_in

SOURCE = "docs/operators.md of onnx-tensorrt for TensorRT 10.0"
OPSET = 20  # the newest that it documents

OPERATORS = frozenset(
    """
    Abs Acos Acosh Add And ArgMax ArgMin Asin Asinh Atan Atanh AveragePool BatchNormalization Cast CastLike Ceil
    Celu Clip Concat Constant ConstantOfShape Conv ConvTranspose Cos Cosh CumSum DeformConv DepthToSpace
    DequantizeLinear Div Dropout Einsum Elu Equal Erf Exp Expand EyeLike Flatten Floor GRU Gather GatherElements
    GatherND Gelu Gemm GlobalAveragePool GlobalLpPool GlobalMaxPool Greater GreaterOrEqual GridSample
    GroupNormalization HardSigmoid HardSwish Hardmax Identity If ImageScaler InstanceNormalization IsInf IsNaN
    LRN LSTM LayerNormalization LeakyRelu Less LessOrEqual Log LogSoftmax Loop LpNormalization LpPool MatMul Max
    MaxPool Mean MeanVarianceNormalization Min Mish Mod Mul Neg NonMaxSuppression NonZero Not OneHot Or PRelu
    Pad ParametricSoftplus Pow QuantizeLinear RNN RandomNormal RandomNormalLike RandomUniform RandomUniformLike
    Range Reciprocal ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd
    ReduceSum ReduceSumSquare Relu Reshape Resize ReverseSequence RoiAlign Round ScaledTanh Scan Scatter
    ScatterElements ScatterND Selu Shape Shrink Sigmoid Sign Sin Sinh Size Slice Softmax Softplus Softsign
    SpaceToDepth Split Sqrt Squeeze Sub Sum Tan Tanh ThresholdedRelu Tile TopK Transpose Trilu Unsqueeze
    Upsample Where Xor
    """.split()  # noqa: SIM905 - a table to read
)
# The input, by position, that is to be a constant of the file.
CONSTANT_INPUTS = {
    **dict.fromkeys(
        (f"Reduce{name}" for name in ("L1", "L2", "LogSum", "LogSumExp", "Max", "Mean", "Min", "Prod", "Sum")), 1
    ),
    **dict.fromkeys(("ReduceSumSquare", "Squeeze", "CumSum"), 1),
    "Pad": 3,
    "Slice": 3,
}


def problems(model: Any) -> Iterator[tuple[str, SourceLine | None]]:
    """What in an ONNX model TensorRT's parser does not document, as a sentence, with the line of the model.

    Args:
        model: an ``onnx.ModelProto``.
    """
    seen = set()
    for graph in _graphs(model.graph):
        constants = {each.name for each in graph.initializer}
        constants |= {name for node in graph.node if node.op_type == "Constant" for name in node.output}
        for node in graph.node:
            problem = _problem(node, constants)
            if problem and problem not in seen:
                seen.add(problem)
                yield problem, line_in(_stack(node))


def _problem(node: Any, constants: set[str]) -> str:
    if node.domain not in ("", "ai.onnx") or node.op_type not in OPERATORS:
        name = f"{node.domain}::{node.op_type}" if node.domain else node.op_type
        return f"{name} is not among the operators that TensorRT's parser documents"
    at = CONSTANT_INPUTS.get(node.op_type)
    if at is not None and at < len(node.input) and node.input[at] and node.input[at] not in constants:
        return f"input {at} of {node.op_type} is computed, and TensorRT's parser wants a constant there"
    layout = next((each.i for each in node.attribute if each.name == "layout"), 0)
    if node.op_type in ("LSTM", "GRU", "RNN") and layout:
        return f"{node.op_type} has its batch first, and TensorRT's parser wants time first"
    return ""


def _graphs(graph: Any) -> Iterator[Any]:
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            for inner in [*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs]:
                yield from _graphs(inner)


def _stack(node: Any) -> str:
    return next((each.value for each in node.metadata_props if each.key == "pkg.torch.onnx.stack_trace"), "")
