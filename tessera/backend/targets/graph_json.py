"""A Program as JSON and tensors: how it reaches the process that compiles for another device.

Sizes that are symbols are written as the numbers they have in the example: what is emitted is for one set of sizes.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import Any

import torch
from torch import fx

from tessera import torch_internals
from tessera.errors import ExportError
from tessera.program import Phase, Precision, Program, Role, Value
from tessera.program.provenance import source_line


def _name(value: object) -> str:
    return str(value).removeprefix("torch.")


def _named(name: str) -> Any:
    return getattr(torch, name)


# What an argument can be besides what JSON knows: its type, how it is written and how it is read.
_KINDS: dict[str, tuple[type, Callable[[Any], Any], Callable[[Any], Any]]] = {
    "dtype": (torch.dtype, _name, _named),
    "layout": (torch.layout, _name, _named),
    "memory_format": (torch.memory_format, _name, _named),
    "device": (torch.device, str, torch.device),
    "complex": (complex, lambda value: [value.real, value.imag], lambda pair: complex(*pair)),
}


def program_to_json(program: Program) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    """The graph, and the constants in it by name.

    Raises:
        ExportError: the graph holds something that is no operator, such as control flow.
    """
    constants: dict[str, torch.Tensor] = {}
    nodes = [_node(program, node, constants) for node in program.graph.nodes if not _is_number(node)]
    inputs = [
        [value.name, value.role]
        for node, value in zip(program.placeholders, program.inputs, strict=True)
        if not _is_number(node)
    ]
    outputs = [[value.name, value.role] for value in program.outputs]
    precision = {"default": program.precision.default, "layers": program.precision.layers}
    described = {"name": program.name, "inputs": inputs, "outputs": outputs, "nodes": nodes, "precision": precision}
    return described, constants


def program_from_json(described: dict[str, Any], constants: dict[str, torch.Tensor]) -> Program:
    """The same Program; its placeholders carry fake CPU tensors, other nodes no values (see ``retarget``)."""
    fake_mode = torch_internals.new_fake_mode()
    root = torch.nn.Module()
    for name, constant in constants.items():
        root.register_buffer(name, constant)
    graph, nodes = fx.Graph(), dict[str, fx.Node]()
    for one in described["nodes"]:
        args, kwargs = _decoded(one["args"], nodes), _decoded(one["kwargs"], nodes)
        target = _operator(one["target"]) if one["op"] == "call_function" else one["target"]
        node = graph.create_node(one["op"], target, tuple(args), kwargs, name=one["name"])
        nodes[one["name"]] = node
        node.meta = {key: one[key] for key in ("stack_trace",) if key in one}
        if "phase" in one:
            node.meta["phase"] = Phase(one["phase"])
        if node.op == "placeholder":
            shape, stride, dtype = one["tensor"]
            with fake_mode:
                node.meta["val"] = torch.empty_strided(shape, stride, dtype=getattr(torch, dtype))
    inputs, outputs = ([Value(name, Role(role)) for name, role in described[key]] for key in ("inputs", "outputs"))
    asked = described["precision"]
    precision = Precision(asked["default"], tuple((layer, name) for layer, name in asked["layers"]))
    return Program(described["name"], fx.GraphModule(root, graph), inputs, outputs, precision)


def _is_number(node: fx.Node) -> bool:
    """Whether a node is a size or a number: where it is used, the number itself is written."""
    return isinstance(node.meta.get("val"), int | float | torch.SymInt | torch.SymFloat)


def _node(program: Program, node: fx.Node, constants: dict[str, torch.Tensor]) -> dict[str, Any]:
    described: dict[str, Any] = {"name": node.name, "op": node.op, "target": str(node.target)}
    described["args"], described["kwargs"] = _encoded(list(node.args)), _encoded(dict(node.kwargs))
    if node.op == "placeholder":
        value = node.meta["val"]
        described["args"] = []
        described["tensor"] = [_encoded(list(value.shape)), _encoded(list(value.stride())), _name(value.dtype)]
    elif node.op == "get_attr":
        described["target"] = node.name
        constants[node.name] = _constant(program, node)
    elif node.op == "call_function":
        described["target"] = _target(node)
    if trace := node.meta.get("stack_trace"):
        described["stack_trace"] = trace
    if "phase" in node.meta:
        described["phase"] = node.meta["phase"]
    return described


def _constant(program: Program, node: fx.Node) -> torch.Tensor:
    value: Any = program.graph_module
    for part in str(node.target).split("."):
        value = getattr(value, part, None)
    if not isinstance(value, torch.Tensor):  # the body of a loop or a branch
        raise _foreign(node)
    return value.detach().contiguous().clone()


def _target(node: fx.Node) -> str:
    if node.target is operator.getitem:
        return "getitem"
    if torch_internals.is_operator(node.target):
        return str(node.target)
    raise _foreign(node)


def _foreign(node: fx.Node) -> ExportError:
    return ExportError(
        f"The graph holds {node.target}, which is no operator on tensors.",
        "What is emitted for a device is a graph of operators, without control flow or calls of other code.",
        "Write it with tensor operations (torch.where), or leave it out of what is emitted.",
        source_line(node),
    )


def _operator(name: str) -> Any:
    if name == "getitem":
        return operator.getitem
    namespace, operation, overload = name.split(".")
    return getattr(getattr(getattr(torch.ops, namespace), operation), overload)


def _encoded(value: Any) -> Any:
    """JSON of an argument; what JSON has no word for is a dict with the key ``is``."""
    if isinstance(value, fx.Node):
        return _encoded(value.meta["val"]) if _is_number(value) else {"is": "node", "of": value.name}
    if isinstance(value, torch.SymInt | torch.SymFloat):
        return torch_internals.example_of(value)
    if isinstance(value, list | tuple):
        return [_encoded(one) for one in value]
    if isinstance(value, dict):
        return {"is": "dict", "of": {key: _encoded(one) for key, one in value.items()}}
    if isinstance(value, float) and not math.isfinite(value):
        return {"is": "float", "of": str(value)}
    kind = next((kind for kind, (known, _, _) in _KINDS.items() if isinstance(value, known)), None)
    return value if kind is None else {"is": kind, "of": _KINDS[kind][1](value)}


def _decoded(value: Any, nodes: dict[str, fx.Node]) -> Any:
    if isinstance(value, list):
        return [_decoded(one, nodes) for one in value]
    if not isinstance(value, dict):
        return value
    kind, of = value["is"], value["of"]
    if kind == "node":
        return nodes[of]
    if kind == "dict":
        return {key: _decoded(one, nodes) for key, one in of.items()}
    return float(of) if kind == "float" else _KINDS[kind][2](of)
