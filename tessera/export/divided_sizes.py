"""Quotients and remainders of sizes that may be negative, where a runtime rounds towards zero and Python does not.

``(S - 9) // 2`` is -1 where S is 8. torch.onnx writes a division that gives 0 there, and ExecuTorch a remainder with
the sign of the number. Each has the other one right:

    a // b   ->   (a - a % b) // b          ONNX
    a % b    ->   a - a // b * b            ExecuTorch
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch.export import ExportedProgram
from torch.fx import Node

from tessera import torch_internals

_Line = tuple[Callable[..., Any], Any, Any]


def quotients_by_remainders(program: ExportedProgram) -> None:
    """Write quotients of sizes that may be negative so that it does not matter how they are rounded."""

    def written(call: Callable[..., Node], a: Any, b: Any) -> _Line:
        return operator.floordiv, call(operator.sub, a, call(operator.mod, a, b)), b

    _rewrite(program, operator.floordiv, written)


def remainders_by_quotients(program: ExportedProgram) -> None:
    """Write remainders of sizes that may be negative by what is left of their quotients."""

    def written(call: Callable[..., Node], a: Any, b: Any) -> _Line:
        return operator.sub, a, call(operator.mul, call(operator.floordiv, a, b), b)

    _rewrite(program, operator.mod, written)


def _rewrite(program: ExportedProgram, target: Callable[..., Any], written: Callable[..., _Line]) -> None:
    for module in program.graph_module.modules():
        if isinstance(module, torch.fx.GraphModule):
            nodes = list(_of_negative_ones(module, target))
            for node in nodes:
                with module.graph.inserting_before(node):
                    node.target, *inputs = written(_maker(module.graph, node), *node.args)
                node.args = tuple(inputs)
            if nodes:
                module.recompile()


def _of_negative_ones(module: torch.fx.GraphModule, target: Callable[..., Any]) -> Iterator[Node]:
    for node in module.graph.find_nodes(op="call_function", target=target):
        sizes = [each.meta.get("val") if isinstance(each, Node) else each for each in node.args]
        if any(map(_may_be_negative, sizes)):
            yield node


def _may_be_negative(size: Any) -> bool:
    least = torch_internals.smallest_size(size) if isinstance(size, torch.SymInt) else size
    return least is None or least < 0


def _maker(graph: torch.fx.Graph, like: Node) -> Callable[..., Node]:
    def call(target: Callable[..., Any], *inputs: Any) -> Node:
        node = graph.call_function(target, inputs)
        values = [each.meta["val"] if isinstance(each, Node) else each for each in inputs]
        node.meta = {**like.meta, "val": target(*values)}
        return node

    return call
