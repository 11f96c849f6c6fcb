"""Transpositions that onnxruntime's optimizer breaks on, written otherwise.

In front of a product of float32 it exchanges a cast from a shorter type with the transposition before it, and where
that moved the first dimension the process dies of it (seen with 1.31; where the product is of float16 the cast is the
runtime's own):

    Cast(Transpose(x))       ->   Transpose(Cast(x))
    MatMul(Transpose(x), w)  ->   Transpose(MatMul(x, w))         float16, w a matrix, the last dimension stays the last
"""

from __future__ import annotations

from typing import Any

_HALVES = frozenset({"BFLOAT16", "FLOAT16"})


def turn_late(model: Any) -> None:
    """Rewrite those of an ``onnxscript.ir.Model``."""
    for node in list(model.graph.all_nodes()):
        turned = _short_transposition(node.inputs[0]) if node.op_type in ("Cast", "MatMul") else None
        if turned is not None and (node.op_type == "Cast" or _passes_through(node, turned)):
            _exchange(node, turned)


def _short_transposition(value: Any) -> Any:
    """The transposition that a value is of, where it is in a short type; else None."""
    node = value.producer()
    if node is None or node.op_type != "Transpose" or node.inputs[0].dtype is None:
        return None
    return node if node.inputs[0].dtype.name in _HALVES else None


def _passes_through(product: Any, turned: Any) -> bool:
    """Whether a product by a matrix is the same before the transposition."""
    order = list(turned.attributes["perm"].as_ints()) if "perm" in turned.attributes else [0]
    shape = product.inputs[1].shape
    return order[0] != 0 and order[-1] == len(order) - 1 and shape is not None and len(shape) == 2


def _exchange(node: Any, turned: Any) -> None:
    from onnxscript import ir

    (answer,) = node.outputs
    first = ir.Value(name=f"{answer.name}.before", type=answer.type)
    last = ir.Value(name=answer.name, shape=answer.shape, type=answer.type)
    answer.name = f"{answer.name}.after"
    inputs = [turned.inputs[0], *node.inputs[1:]]
    now = ir.Node(
        "", node.op_type, inputs, node.attributes.values(), outputs=[first], metadata_props=node.metadata_props
    )
    again = ir.Node("", "Transpose", [first], turned.attributes.values(), outputs=[last])
    node.graph.insert_before(node, [now, again])
    ir.convenience.replace_all_uses_with(answer, last, replace_graph_outputs=True)
    node.graph.remove(node, safe=True)
    if not turned.outputs[0].uses() and not turned.outputs[0].is_graph_output():
        turned.graph.remove(turned, safe=True)
