"""Complex arithmetic between tensors of real numbers is written out in real numbers.

    before   z = view_as_complex(x) * f;  y = view_as_real(z)
    after    a, b = x[..., 0], x[..., 1];  c, d = view_as_real(f)[..., 0], view_as_real(f)[..., 1]
             y = stack([a * c - b * d, a * d + b * c], -1)

Rotary embeddings are often written so. The compiler has no complex numbers: each operation on them would be a call of
its own. What else a complex number is used for stays complex, with all that leads to it. Promise: close.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import fx

from tessera import torch_internals
from tessera.backend.rewrite import Pass
from tessera.program import Program

aten = torch.ops.aten


def write_out_complex(program: Program) -> int:
    """Write out what ends in real numbers; returns how many operations on complex numbers there were."""
    inside = _inside(program.graph)
    ends = [node for node in program.graph.find_nodes(op="call_function", target=_END) if node.args[0] in inside]
    if ends:
        _Writing(program).run(inside, ends)
    return len(inside) if ends else 0


def has_complex(captured: fx.GraphModule) -> bool:
    """Whether what Dynamo captured computes with complex numbers."""
    values = (node.meta.get("example_value") for node in captured.graph.nodes)
    return any(isinstance(value, torch.Tensor) and value.is_complex() for value in values)


def _inside(graph: fx.Graph) -> set[fx.Node]:
    """Complex results that are known by their parts, and that nothing needs whole."""
    found = {node for node in graph.nodes if node.op == "call_function" and _has_parts(node)}
    waiting = list(found)
    while waiting:
        node = waiting.pop()
        if node in found and any(user not in found and user.target is not _END for user in node.users):
            found.discard(node)
            waiting += node.all_input_nodes
    return found


def _has_parts(node: fx.Node) -> bool:
    if not _is_complex(node) or node.kwargs.keys() - {"memory_format"}:
        return False
    if node.target in _MADE:
        return True
    if node.target in _ARITHMETIC:
        return len(node.args) == len(node.all_input_nodes) and all(map(_is_complex, node.all_input_nodes))
    return node.target in _MOVING and len(node.all_input_nodes) == 1


def _is_complex(node: fx.Node) -> bool:
    value = node.meta.get("val")
    return isinstance(value, torch.Tensor) and value.dtype in (torch.complex64, torch.complex128)


Parts = tuple[fx.Node, fx.Node]


class _Writing:
    """Two real nodes for each complex one."""

    def __init__(self, program: Program) -> None:
        self._graph = program.graph
        self._fake_mode = torch_internals.fake_mode_of([node.meta["val"] for node in program.placeholders])
        self._parts: dict[fx.Node, Parts] = {}

    def run(self, inside: set[fx.Node], ends: list[fx.Node]) -> None:
        for node in [node for node in self._graph.nodes if node in inside]:
            self._node = node
            self._parts[node] = self._written(node)
        for node in ends:
            self._node = node
            parts = [self._call(aten.unsqueeze.default, part, -1) for part in self._parts[node.args[0]]]  # type: ignore[index]
            node.replace_all_uses_with(self._call(aten.cat.default, parts, -1))
        self._graph.eliminate_dead_code()

    def _written(self, node: fx.Node) -> Parts:
        if node.target in _MADE:
            return _MADE[node.target](self._call, *node.args)
        if node.target in _ARITHMETIC:
            return _ARITHMETIC[node.target](self._call, *map(self._parts_of, node.all_input_nodes))
        real, imaginary = self._parts_of(node.all_input_nodes[0])
        if node.target is aten.clone.default:
            return real, imaginary
        return self._call(node.target, real, *node.args[1:]), self._call(node.target, imaginary, *node.args[1:])

    def _parts_of(self, node: fx.Node) -> Parts:
        if node not in self._parts:  # it stays complex
            if node.meta["val"].is_conj():
                node = self._call(aten.clone.default, node)
            return _of_pairs(self._call, self._call(_END, node))
        return self._parts[node]

    def _call(self, target: Any, *args: Any) -> fx.Node:
        with self._graph.inserting_before(self._node):
            new = self._graph.call_function(target, args)
        new.meta = {key: value for key, value in self._node.meta.items() if key != "val"}
        new.meta["val"] = torch_internals.computed_anew(new, self._fake_mode)
        return new


Call = Callable[..., fx.Node]


def _of_pairs(call: Call, pairs: fx.Node) -> Parts:
    return call(aten.select.int, pairs, -1, 0), call(aten.select.int, pairs, -1, 1)


def _polar(call: Call, size: fx.Node, angle: fx.Node) -> Parts:
    return tuple(call(aten.mul.Tensor, size, call(turn, angle)) for turn in (aten.cos.default, aten.sin.default))  # type: ignore[return-value]


def _multiplied(call: Call, x: Parts, y: Parts) -> Parts:
    (a, b), (c, d) = x, y
    real = call(aten.sub.Tensor, call(aten.mul.Tensor, a, c), call(aten.mul.Tensor, b, d))
    return real, call(aten.add.Tensor, call(aten.mul.Tensor, a, d), call(aten.mul.Tensor, b, c))


def _each(operator: Any) -> Callable[..., Parts]:
    return lambda call, *operands: tuple(call(operator, *parts) for parts in zip(*operands, strict=True))


_END = aten.view_as_real.default
_MADE: dict[Any, Callable[..., Parts]] = {
    aten.view_as_complex.default: _of_pairs,
    aten.complex.default: lambda _, real, imaginary: (real, imaginary),
    aten.polar.default: _polar,
}
_ARITHMETIC: dict[Any, Callable[..., Parts]] = {
    aten.mul.Tensor: _multiplied,
    aten.add.Tensor: _each(aten.add.Tensor),
    aten.sub.Tensor: _each(aten.sub.Tensor),
    aten.neg.default: _each(aten.neg.default),
    torch_internals.conjugate(): lambda call, x: (x[0], call(aten.neg.default, x[1])),
}
_MOVING = (
    aten.alias.default,
    aten.clone.default,
    aten.expand.default,
    aten.permute.default,
    aten.select.int,
    aten.slice.Tensor,
    aten.squeeze.dim,
    aten.sum.dim_IntList,
    aten.unsqueeze.default,
    aten.view.default,
)


WRITE_OUT_COMPLEX = Pass(
    "write_out_complex", "close", write_out_complex, "complex arithmetic between tensors of real numbers"
)
