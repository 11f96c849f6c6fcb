"""Types that onnxruntime has no kernel for, computed in a wider one.

Its kernels for processors multiply no bfloat16, and small integers not everywhere; for float16 it puts in casts itself.
What it cannot do so is done between casts, each answer rounded to its own type as torch rounds it:

    Mul(a, b)  in bfloat16   ->   Cast(Mul(Cast(a), Cast(b)))   in float32 inside
"""

from __future__ import annotations

import functools
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

_Kernels = Mapping[str, list[Any]]  # by operator
_INTEGERS = {"INT8", "UINT8", "INT16", "UINT16", "INT32"}
_WIDER = (({"BFLOAT16"}, "FLOAT"), (_INTEGERS - {"INT32"}, "INT32"), (_INTEGERS, "INT64"))
_SAYS_A_TYPE = frozenset({"to", "dtype", "output_dtype"})  # attributes: the answer's type is no input's


def widen(model: Any) -> dict[str, list[str]]:
    """Put casts around what the runtime here cannot compute; by narrow type, the names of those operators.

    Args:
        model: an ``onnxscript.ir.Model`` whose values have types; it is changed.
    """
    kernels, opset = _kernels(), model.opset_imports.get("", 0)
    widened: dict[str, Counter[str]] = defaultdict(Counter)
    casts: dict[tuple[int, str], Any] = {}
    for node in list(model.graph.all_nodes()) if kernels else ():
        if node.domain not in ("", "ai.onnx") or not node.inputs or _is_left_alone(node):
            continue
        types = {value: value.dtype.name for value in _values(node) if value.dtype is not None}
        if _can(node, types, opset, kernels):
            continue
        for narrow, wide in _WIDER:
            wider = {value: wide if name in narrow else name for value, name in types.items()}
            if wider != types and _can(node, wider, opset, kernels):
                _put_casts(node, types, wider, casts)
                for name in {types[value] for value in types if wider[value] != types[value]}:
                    widened[name.lower()][node.op_type] += 1
                break
    return {name: list(operators) for name, operators in widened.items()}


def _is_left_alone(node: Any) -> bool:
    return any(name in _SAYS_A_TYPE or each.type.name in ("GRAPH", "GRAPHS") for name, each in node.attributes.items())


def _values(node: Any) -> Iterator[Any]:
    yield from (value for value in (*node.inputs, *node.outputs) if value is not None)


@functools.cache
def _kernels() -> _Kernels:
    """The runtime's own list of its kernels for processors; none where this one does not tell."""
    from onnxruntime.capi import onnxruntime_pybind11_state as runtime

    found = defaultdict(list)
    for each in getattr(runtime, "get_all_opkernel_def", list)():
        if each.provider == "CPUExecutionProvider" and each.domain in ("", "ai.onnx"):
            found[each.op_name].append(each)
    return found


def _can(node: Any, types: Mapping[Any, str], opset: int, kernels: _Kernels) -> bool:
    """Whether there is a kernel for these types; also where it cannot be known."""
    import onnx

    try:
        schema = onnx.defs.get_schema(node.op_type, opset, "")
    except onnx.defs.SchemaError:
        return True
    if node.op_type not in kernels:  # the runtime writes it out in others, in the types that it gets
        return "BFLOAT16" not in types.values()
    called = [*_called(node.inputs, schema.inputs), *_called(node.outputs, schema.outputs)]
    for kernel in kernels[node.op_type]:
        first, last = kernel.version_range
        if first <= schema.since_version <= last and all(
            _as_text(types[value]) in _taken(kernel, name, types[value]) for value, name in called if value in types
        ):
            return True
    return False


def _called(values: Any, parameters: Any) -> Iterator[tuple[Any, str]]:
    """Each value with what the schema calls its type; the last parameter may be any number of values."""
    for at, value in enumerate(values):
        if value is not None and parameters:
            yield value, parameters[min(at, len(parameters) - 1)].type_str


def _taken(kernel: Any, name: str, otherwise: str) -> list[str]:
    """The types that a kernel takes where the schema says ``name``; the schema may say a type there."""
    return kernel.type_constraints.get(name, [name if name.startswith("tensor(") else _as_text(otherwise)])


def _as_text(name: str) -> str:
    return f"tensor({ {'FLOAT': 'float', 'DOUBLE': 'double'}.get(name, name.lower()) })"


def _put_casts(
    node: Any, types: Mapping[Any, str], wider: Mapping[Any, str], casts: dict[tuple[int, str], Any]
) -> None:
    from onnxscript import ir

    for at, value in enumerate(node.inputs):
        if value is not None and types.get(value) != wider.get(value):
            key = (id(value), wider[value])
            if key not in casts:
                casts[key] = _cast(value, f"{value.name}.wide.{len(casts)}", wider[value])
                _put_where_it_is_made(value, casts[key].producer())
            node.replace_input_with(at, casts[key])
    for value in node.outputs:
        if types.get(value) != wider.get(value):
            name, value.name = value.name, f"{value.name}.wide"
            back = _cast(value, name, types[value])
            value.dtype = ir.DataType[wider[value]]
            ir.convenience.replace_all_uses_with(value, back, replace_graph_outputs=True)
            back.producer().replace_input_with(0, value)
            node.graph.insert_after(node, back.producer())


def _put_where_it_is_made(value: Any, cast: Any) -> None:
    """In the value's own graph, so that a weight is cast once and not in every turn of a loop."""
    if (producer := value.producer()) is not None:
        producer.graph.insert_after(producer, cast)
    else:
        value.graph.insert_before(value.graph[0], cast)


def _cast(value: Any, name: str, dtype: str) -> Any:
    """The value that a new node gives."""
    from onnxscript import ir

    made = ir.Value(name=name, shape=value.shape, type=ir.TensorType(ir.DataType[dtype]))
    ir.node("Cast", [value], {"to": ir.DataType[dtype]}, outputs=[made])
    return made
