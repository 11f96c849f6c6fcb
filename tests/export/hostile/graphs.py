"""ONNX files changed in their own terms: shapes, operators, attributes, data that is said to be elsewhere."""

from __future__ import annotations

import random

import onnx
from onnx import TensorProto

PATHS = [
    "../../etc/passwd",
    "/etc/passwd",
    "/dev/zero",
    "/dev/urandom",
    "/proc/self/mem",
    "../secret",
    ".",
    "",
    "m.onnx",
    "a\0b",
]
_NUMBERS = [0, -1, 1, 2, 3, 7, 1 << 20, 1 << 31, (1 << 63) - 1, -(1 << 63)]
_OPERATORS = [
    "Loop",
    "If",
    "Scan",
    "ConstantOfShape",
    "Range",
    "Gather",
    "Reshape",
    "MatMul",
    "Nothing",
    "Tile",
    "ImageDecoder",
    "",
]


def changed_graph(content: bytes, chance: random.Random) -> tuple[bytes, str]:
    try:
        model = onnx.ModelProto.FromString(content)
    except Exception:  # noqa: BLE001 - changed before
        return content[: len(content) // 2], "half of it"
    said = [chance.choice(_CHANGES)(model, chance) for _ in range(chance.choice([1, 1, 1, 2, 3]))]
    try:
        return model.SerializeToString(), ", ".join(said)
    except Exception:  # noqa: BLE001 - a text that is none in UTF-8
        return content[:-1], "one byte less"


def _elsewhere(model, chance):
    tensor = chance.choice(model.graph.initializer)
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    del tensor.external_data[:]
    said = {"location": chance.choice(PATHS), "offset": chance.choice(["0", "-1", "99999999999", "x"]), "length": "64"}
    for key in chance.choice([["location"], ["location", "offset"], ["location", "offset", "length"], ["offset"]]):
        tensor.external_data.add(key=key, value=said[key])
    return f"{tensor.name} is in {said['location']!r}"


def _tensor(model, chance):
    tensor = chance.choice(model.graph.initializer)
    kind = chance.randrange(4)
    if kind == 0:
        tensor.dims.append(chance.choice(_NUMBERS))
    elif kind == 1 and tensor.dims:
        tensor.dims[chance.randrange(len(tensor.dims))] = chance.choice(_NUMBERS)
    elif kind == 2:
        tensor.data_type = chance.choice([0, 1, 2, 7, 8, 10, 16, 17, 22, 99])
    else:
        tensor.raw_data = tensor.raw_data[: chance.randrange(len(tensor.raw_data) + 1)]
    return f"{tensor.name} as {list(tensor.dims)} of {tensor.data_type}"


def _node(model, chance):
    node = chance.choice(model.graph.node)
    kind = chance.randrange(6)
    if kind == 0:
        node.op_type = chance.choice(_OPERATORS)
    elif kind == 1:
        node.domain = chance.choice(["", "com.microsoft", "evil", "../x.so"])
    elif kind == 2 and node.input:
        node.input[chance.randrange(len(node.input))] = chance.choice(["", node.output[0], "nowhere"])
    elif kind == 3 and len(node.input) > 1:
        node.input.pop()
    elif kind == 4:
        node.output[0] = model.graph.output[0].name
    else:
        model.graph.node.append(node)
    return f"node {node.name}: {node.op_type}"


def _attribute(model, chance):
    nodes = [node for node in model.graph.node if node.attribute]
    if not nodes:
        return _node(model, chance)
    node = chance.choice(nodes)
    each = chance.choice(node.attribute)
    kind = chance.randrange(4)
    if kind == 0:
        each.i = chance.choice(_NUMBERS)
    elif kind == 1:
        each.ints.extend([chance.choice(_NUMBERS)] * chance.choice([1, 1000]))
    elif kind == 2:
        each.type = chance.choice([0, 1, 2, 4, 5, 6, 7])
    else:
        each.name = chance.choice(["", "axis", "body"])
    return f"attribute {each.name} of {node.name}"


def _large(model, chance):
    """A node that asks for memory, and feeds the answer."""
    size = chance.choice([1 << 20, 1 << 28, 1 << 33, (1 << 62)])
    model.graph.initializer.append(onnx.helper.make_tensor("much", TensorProto.INT64, [1], [size]))
    model.graph.node.append(onnx.helper.make_node("ConstantOfShape", ["much"], ["zeros"]))
    model.graph.node.append(onnx.helper.make_node("ReduceSum", ["zeros"], ["nothing"], keepdims=0))
    model.graph.output.append(onnx.helper.make_tensor_value_info("nothing", TensorProto.FLOAT, []))
    return f"{size} zeros"


def _endless(model, chance):
    body = onnx.helper.make_graph(
        [onnx.helper.make_node("Identity", ["go"], ["on"]), onnx.helper.make_node("Identity", ["s"], ["t"])],
        "body",
        [onnx.helper.make_tensor_value_info(n, k, []) for n, k in (("i", 7), ("go", 9), ("s", 1))],
        [onnx.helper.make_tensor_value_info(n, k, []) for n, k in (("on", 9), ("t", 1))],
    )
    model.graph.initializer.append(
        onnx.helper.make_tensor("turns", TensorProto.INT64, [], [chance.choice([3] * 49 + [1 << 62])])
    )
    model.graph.initializer.append(onnx.helper.make_tensor("true", TensorProto.BOOL, [], [True]))
    model.graph.initializer.append(onnx.helper.make_tensor("zero", TensorProto.FLOAT, [], [0.0]))
    model.graph.node.append(onnx.helper.make_node("Loop", ["turns", "true", "zero"], ["end"], body=body))
    model.graph.output.append(onnx.helper.make_tensor_value_info("end", TensorProto.FLOAT, []))
    return "a loop"


def _model(model, chance):
    kind = chance.randrange(6)
    if kind == 0:
        model.ir_version = chance.choice([0, 1, 3, 99, 1 << 40])
    elif kind == 1:
        model.opset_import[0].version = chance.choice([0, 1, 7, 18, 999, 1 << 40])
    elif kind == 2:
        del model.opset_import[:]
    elif kind == 3:
        model.opset_import.add(domain="evil", version=1)
    elif kind == 4:
        del model.graph.input[:]
    else:
        side = chance.choice([model.graph.input, model.graph.output])
        side[0].type.tensor_type.shape.dim.add(dim_value=chance.choice(_NUMBERS))
    return "the model's head"


_CHANGES = [_elsewhere, _elsewhere, _tensor, _tensor, _node, _node, _attribute, _attribute, _large, _endless, _model]
