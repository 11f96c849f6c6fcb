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
    "link",
    "up/secret",
    ".",
    "",
    "m.onnx",
    "a\0b",
    "*/_ORT_MEM_ADDR_/*",
    "*/_ORT_NATIVE_ENDIAN_MEM_ADDR_/*",
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


def changed_graph(content: bytes, chance: random.Random, _: str) -> tuple[bytes, str]:
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


def _moved(model, chance):
    """Where in the other file it begins, and how long it is."""
    tensors = [each for each in model.graph.initializer if each.external_data]
    if not tensors:
        return _elsewhere(model, chance)
    tensor = chance.choice(tensors)
    name = chance.choice(["offset", "length"])
    said = str(chance.choice([*_NUMBERS, 4, 400, 1200, 2400, 2401, 1 << 63, "x", "0x10", ""]))
    for each in list(tensor.external_data):
        if each.key == name:
            tensor.external_data.remove(each)
    tensor.external_data.add(key=name, value=said)
    return f"{tensor.name} has {name} {said}"


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
    size = chance.choice([1 << 20] * 4 + [1 << 24] * 3 + [1 << 28, 1 << 33, 1 << 40, (1 << 62), -1])
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


def _outgrown(model, chance):
    """An operator whose answer is as large as a number says."""
    size = chance.choice([1 << 12, 1 << 20, 1 << 33, 1 << 62, -1, 0])
    name, sizes, attributes = chance.choice(
        [
            ("Expand", [size, 4, 2], {}),
            ("Tile", [size, 1], {}),
            ("Pad", [0, 0, size, 0], {}),
            ("Reshape", [size, -1], {}),
            ("Slice", [size], {}),
            ("Split", [size, 4 - size], {}),
            ("TopK", [size], {}),
            ("Gather", [size], {}),
            ("Squeeze", [size], {}),
        ]
    )
    model.graph.initializer.append(onnx.helper.make_tensor("sizes", TensorProto.INT64, [len(sizes)], sizes))
    _more(model, name, [model.graph.output[0].name, "sizes"], **attributes)
    return f"{name} to {size}"


def _made(model, chance):
    """An operator that takes no tensor, or a text, or one that looks at a file."""
    size = chance.choice([2, 1 << 12, 1 << 33, 1 << 62])
    kind = chance.randrange(5)
    if kind == 0:
        _more(model, "RandomNormal", [], shape=[size, chance.choice([1, 7])])
    elif kind == 1:
        _more(model, "Constant", [], value_strings=["x" * 1000] * 7)
    elif kind == 2:
        _more(model, "EPContext", [], domain="com.microsoft", embed_mode=0, ep_cache_context=chance.choice(PATHS[:8]))
    elif kind == 3:
        _more(model, "PyOp", [model.graph.output[0].name], domain="ai.onnx.contrib", code="import os")
    else:
        model.metadata_props.add(key="ort_config", value='{"session_options": {"inter_op_num_threads": 100000}}')
    return f"{model.graph.node[-1].op_type} of {size}"


def _function(model, chance):
    """Functions that call themselves, or one another by the thousand millions."""
    depth = chance.choice([1, 3, 30])
    inside = lambda level: f"f{(level + 1) % depth}" if chance.random() < 0.5 else f"f{level + 1}"  # noqa: E731
    for level in range(depth):
        call = inside(level)
        nodes = [onnx.helper.make_node(call, [a], [b], domain="own") for a, b in (("x", "z"), ("z", "y"))]
        opsets = [onnx.helper.make_opsetid("own", 1), onnx.helper.make_opsetid("", 18)]
        model.functions.append(onnx.helper.make_function("own", f"f{level}", ["x"], ["y"], nodes, opsets))
    model.functions.append(
        onnx.helper.make_function(
            "own", f"f{depth}", ["x"], ["y"], [onnx.helper.make_node("Neg", ["x"], ["y"])], model.opset_import[:1]
        )
    )
    model.opset_import.add(domain="own", version=1)
    _more(model, "f0", [model.graph.output[0].name], domain="own")
    return f"{depth} functions"


def _deep(model, chance):
    """Graphs in graphs."""
    depth = chance.choice([3, 3, 10, 28])
    value = onnx.helper.make_tensor_value_info
    leaf = onnx.helper.make_node("Identity", [model.graph.input[0].name if model.graph.input else "x"], ["y0"])
    inner = onnx.helper.make_graph([leaf], "g", [], [value("y0", 1, None)])
    for level in range(1, depth):
        other = onnx.helper.make_graph([leaf], "h", [], [value("y0", 1, None)])
        node = onnx.helper.make_node("If", ["true"], [f"y{level}"], then_branch=inner, else_branch=other)
        inner = onnx.helper.make_graph([node], "g", [], [value(f"y{level}", 1, None)])
    model.graph.initializer.append(onnx.helper.make_tensor("true", TensorProto.BOOL, [], [True]))
    model.graph.node.extend(inner.node)
    model.graph.output.append(value(inner.node[0].output[0], 1, None))
    return f"{depth} graphs in one another"


def _ends(model, chance):
    """Inputs and outputs of other types, of the same name, of none."""
    kind, side = chance.randrange(5), chance.choice([model.graph.input, model.graph.output])
    if not side:
        return "no inputs"
    if kind == 0:
        side[0].type.CopyFrom(
            chance.choice(
                [
                    onnx.helper.make_sequence_type_proto(onnx.helper.make_tensor_type_proto(1, None)),
                    onnx.helper.make_optional_type_proto(onnx.helper.make_tensor_type_proto(1, None)),
                    onnx.helper.make_tensor_type_proto(TensorProto.STRING, None),
                    onnx.helper.make_sparse_tensor_type_proto(1, None),
                    onnx.TypeProto(),
                ]
            )
        )
    elif kind == 1:
        side.append(side[0])
    elif kind == 2:
        side[0].name = chance.choice(["", model.graph.input[0].name if model.graph.input else "x", "x" * 100_000])
    elif kind == 3:
        side[0].type.tensor_type.elem_type = chance.choice([0, 2, 7, 8, 10, 11, 16, 17, 22, 99])
    else:
        model.graph.output.extend([model.graph.output[0]] * 1000)
    return "inputs and outputs"


def _more(model, name, inputs, **attributes):
    model.graph.node.append(onnx.helper.make_node(name, inputs, ["further"], **attributes))
    model.graph.output.append(onnx.helper.make_tensor_value_info("further", TensorProto.FLOAT, None))


_CHANGES = [
    _elsewhere, _elsewhere, _moved, _tensor, _tensor, _node, _node, _attribute, _attribute,
    _large, _endless, _model, _outgrown, _outgrown, _made, _function, _deep, _ends,
]  # fmt: skip
