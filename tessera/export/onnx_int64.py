"""Operators that onnxruntime computes wrongly of large whole numbers, in others that it computes right.

Seen with 1.31 on x86: Max, Min, Clip, ReduceMax, ReduceMin and Sign compare the lower halves of some numbers, so that
2147483648 is less than 0; ReduceSum and ReduceProd go through float64, which holds whole numbers up to 2 ** 53, and
end at the largest int32 where torch goes round.

    Max(a, b)      ->   Where(Greater(a, b), a, b)
    ReduceMax(x)   ->   GatherElements(x, ArgMax(x))
    ReduceSum(x)   ->   ReduceSum(x // 2 ** 32) * 2 ** 32 + ReduceSum(x % 2 ** 32)
    ReduceProd(x)  ->   Scan with Mul

of int64; sums and products of int32 are those of int64, cut.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

_HALF = 2**32
_SHORT = ("BOOL", "INT8", "UINT8", "INT16", "UINT16", "INT32", "UINT32")


def compute_exactly(model: Any) -> None:
    """Rewrite those of an ``onnxscript.ir.Model`` whose values have types."""
    for node in list(model.graph.all_nodes()):
        kind = node.outputs[0].dtype
        written = None if kind is None or node.domain not in ("", "ai.onnx") else _WRITTEN.get(kind.name, {})
        if not written or node.op_type not in written:
            continue
        lines = _Lines(node)
        answer = written[node.op_type](lines, node)
        if answer is not None:
            lines.put_in_place_of(node, answer)


class _Lines:
    """Nodes that are written one after the other, in place of one."""

    def __init__(self, node: Any) -> None:
        from onnxscript import ir

        self._tape, self._props = ir.tape.Tape(), node.metadata_props

    def op(self, name: str, *inputs: Any, **attributes: Any) -> Any:
        """The answer of a new node."""
        return self._tape.op(name, inputs, attributes, metadata_props=dict(self._props))

    def numbers(self, *numbers: int) -> Any:
        """A vector."""
        return self._constant(np.array(numbers, np.int64))

    def number(self, number: int) -> Any:
        return self._constant(np.array(number, np.int64))

    def cast(self, value: Any, kind: str) -> Any:
        from onnxscript import ir

        return self.op("Cast", value, to=ir.DataType[kind])

    def _constant(self, value: Any) -> Any:
        from onnxscript import ir

        return self.op("Constant", value=ir.tensor(value))

    def put_in_place_of(self, node: Any, answer: Any) -> None:
        from onnxscript import ir

        ir.convenience.replace_nodes_and_values(node.graph, node, [node], self._tape.nodes, [node.outputs[0]], [answer])


def _choice(comparison: str) -> Callable[[_Lines, Any], Any]:
    def written(lines: _Lines, node: Any) -> Any:
        found, *others = node.inputs
        for other in others:
            found = lines.op("Where", lines.op(comparison, found, other), found, other)
        return found if others else None

    return written


def _clip(lines: _Lines, node: Any) -> Any:
    found, *bounds = node.inputs
    for comparison, bound in zip(("Greater", "Less"), bounds, strict=False):
        if bound is not None:
            found = lines.op("Where", lines.op(comparison, found, bound), found, bound)
    return found if found is not node.inputs[0] else None


def _sign(lines: _Lines, node: Any) -> Any:
    (x,) = node.inputs
    zero = lines.number(0)
    positive = lines.op("Where", lines.op("Greater", x, zero), lines.number(1), zero)
    return lines.op("Where", lines.op("Less", x, zero), lines.number(-1), positive)


def _extreme(place: str) -> Callable[[_Lines, Any], Any]:
    """The number at its place, along one axis after the other."""

    def written(lines: _Lines, node: Any) -> Any:
        axes, found = _axes(node), node.inputs[0]
        for axis in axes or ():
            found = lines.op("GatherElements", found, lines.op(place, found, axis=axis, keepdims=1), axis=axis)
        return _without(lines, node, axes, found)

    return written


def _sum(lines: _Lines, node: Any) -> Any:
    axes, x = _axes(node), node.inputs[0]
    if not axes or _came_from(x, _SHORT):  # of a mask, float64 holds every sum
        return None
    return _sum_of_int64(lines, node, axes, x)


def _sum_of_int64(lines: _Lines, node: Any, axes: Sequence[int], x: Any) -> Any:
    over, half, keep = lines.numbers(*axes), lines.number(_HALF), _keeps(node)
    low = lines.op("Mod", x, half)
    high = lines.op("Div", lines.op("Sub", x, low), half)
    sums = [lines.op("ReduceSum", each, over, keepdims=keep) for each in (high, low)]
    return lines.op("Add", lines.op("Mul", sums[0], half), sums[1])


def _short_sum(lines: _Lines, node: Any) -> Any:
    """Of numbers whose sum float64 holds, cut to int32."""
    if not _axes(node):
        return None
    wide = lines.cast(node.inputs[0], "INT64")
    return lines.cast(lines.op("ReduceSum", wide, *node.inputs[1:], keepdims=_keeps(node)), "INT32")


def _product(lines: _Lines, node: Any) -> Any:
    found = node.inputs[0]
    return None if _came_from(found, _SHORT[:1]) else _product_of_int64(lines, node, found)


def _short_product(lines: _Lines, node: Any) -> Any:
    found = _product_of_int64(lines, node, lines.cast(node.inputs[0], "INT64"))
    return None if found is None else lines.cast(found, "INT32")


def _product_of_int64(lines: _Lines, node: Any, found: Any) -> Any:
    axes = _axes(node)
    for axis in axes or ():
        # Ones of the shape that is left: what it is a sum of does not matter.
        shape = lines.op("Shape", lines.op("ReduceSum", found, lines.numbers(axis), keepdims=0))
        ones = lines.op("Expand", lines.number(1), shape)
        turned = lines.op("Scan", ones, found, body=_times(), num_scan_inputs=1, scan_input_axes=[axis])
        found = lines.op("Unsqueeze", turned, lines.numbers(axis))
    return _without(lines, node, axes, found)


def _times() -> Any:
    from onnxscript import ir

    kind = ir.TensorType(ir.DataType.INT64)
    before, factor, now = (ir.Value(name=name, type=kind) for name in ("before", "factor", "now"))
    node = ir.Node("", "Mul", [before, factor], outputs=[now])
    return ir.Graph([before, factor], [now], nodes=[node], name="times")


def _axes(node: Any) -> Sequence[int] | None:
    """Those that it reduces; None where that is not known."""
    from onnxscript import ir

    rank = None if node.inputs[0].shape is None else len(node.inputs[0].shape)
    given = node.inputs[1] if len(node.inputs) > 1 else None
    if rank is None:
        return None
    if given is None:
        noop = node.attributes.get_int("noop_with_empty_axes", 0)
        return None if noop else range(rank)
    known = ir.convenience.get_const_tensor(given)
    return None if known is None else [int(axis) % rank for axis in known.numpy().reshape(-1)]


def _keeps(node: Any) -> int:
    return int(node.attributes.get_int("keepdims", 1))


def _without(lines: _Lines, node: Any, axes: Sequence[int] | None, found: Any) -> Any:
    """``found``, whose reduced axes are one long, as the node was to give it."""
    if not axes:
        return None
    return found if _keeps(node) else lines.op("Squeeze", found, lines.numbers(*axes))


def _came_from(value: Any, types: Sequence[str]) -> bool:
    """Whether its numbers were of one of these types before."""
    node = value.producer()
    if node is None or node.op_type != "Cast" or node.inputs[0].dtype is None:
        return False
    return node.inputs[0].dtype.name in types


_WRITTEN: dict[str, dict[str, Callable[[_Lines, Any], Any]]] = {
    "INT64": {
        "Max": _choice("Greater"),
        "Min": _choice("Less"),
        "Clip": _clip,
        "Sign": _sign,
        "ReduceMax": _extreme("ArgMax"),
        "ReduceMin": _extreme("ArgMin"),
        "ReduceSum": _sum,
        "ReduceProd": _product,
    },
    "INT32": {"ReduceSum": _short_sum, "ReduceProd": _short_product},
}
