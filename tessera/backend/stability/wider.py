"""What no rule has made stable and float32 is wrong for is computed in float64, and rounded once, at its end.

    before   a = atan(x) - x                                     0 where x is 1e-4, and not -3e-13
    after    y = x.double(); a = (atan(y) - y).float()

Fused, it reads and writes what it did before; its arithmetic takes twice the width. Its gradient is in float64 too.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, fx, nn

from tessera import torch_internals
from tessera.backend.stability.expressions import Expression, expressions, is_conversion, is_float32, is_kept
from tessera.backend.stability.reading import Reader
from tessera.backend.stability.sampling import STRICT, USUAL, Demand, arguments, is_inaccurate
from tessera.backend.stability.spelling import example
from tessera.backend.stability.writing import Writer
from tessera.program import is_marked_as_stable, mark_as_stable, source_line

WITHOUT_FLOAT64 = ("mps",)
LARGE = 2**20  # elements


def widen(graph: fx.Graph, reader: Reader, meant: set[fx.Node]) -> list[str]:
    """Compute in float64 what is inaccurate; returns what was, ``"computed in float64 at model.py:12"``."""
    inaccurate, known = list[Expression](), dict[str, bool]()
    for expression in expressions(graph, reader, meant):
        key = _structure(expression)
        if key not in known:
            known[key] = _has_float64(expression) and is_inaccurate(expression, _demand(expression))
        if known[key]:
            inaccurate.append(expression)
    wide = _Wide(graph)
    lines = [source_line(expression.result) for expression in inaccurate]
    for expression in inaccurate:
        wide.mode.update(dict.fromkeys(expression.nodes, expression.mode))
    for node in [node for node in graph.nodes if node in wide.mode and not is_kept(node)]:
        wide.copy(node)
    for expression in inaccurate:
        wide.use(expression.result)
    wide.erase_unused()
    return [f"computed in float64{f' at {line.file}:{line.line}' if line else ''}" for line in lines]


def _has_float64(expression: Expression) -> bool:
    return example(expression.result).device.type not in WITHOUT_FLOAT64


def _demand(expression: Expression) -> Demand:
    """Of what was spelled unstably, and a rule has rewritten, every digit; unless it is large, and would take long."""
    sizes = [
        math.prod(torch_internals.size_hint(n) for n in example(node).shape)
        for node in expression.nodes
        if isinstance(example(node), Tensor)
    ]
    rewritten = any(map(is_marked_as_stable, expression.nodes))
    return STRICT if rewritten and max(sizes) <= LARGE else USUAL


def _structure(expression: Expression) -> str:
    """The same for expressions that compute the same, and are held to the same."""
    places = {node: f"%{at}" for at, node in enumerate((*expression.leaves, *expression.nodes))}
    leaves = [
        (tuple(str(size) for size in value.shape), value.dtype, value.requires_grad, isinstance(value, nn.Parameter))
        if isinstance(value, Tensor)
        else str(value)
        for value in map(example, expression.leaves)
    ]
    calls = [
        (str(n.target), str(fx.node.map_arg((n.args, n.kwargs), lambda one: places[one])), is_marked_as_stable(n))
        for n in expression.nodes
    ]
    return str((leaves, calls))


class _Wide:
    """The copies in float64 of a graph's nodes."""

    def __init__(self, graph: fx.Graph) -> None:
        self._graph = graph
        self.mode: dict[fx.Node, int] = {}  # of what is to be copied
        self._copies: dict[fx.Node, fx.Node] = {}
        self._casts: dict[tuple[fx.Node, int], fx.Node] = {}  # of what is given, in each mode

    def copy(self, node: fx.Node) -> None:
        """Compute ``node`` in float64 as well; what it is made of comes first."""
        writer = self._writer(node, like=node)
        args, kwargs = fx.node.map_arg(arguments(node), lambda one: self._operand(one, writer, self.mode[node]))
        if is_conversion(node):
            self._copies[node] = args[0]
            return
        self._copies[node] = writer.again(node, args, kwargs)
        mark_as_stable(self._copies[node])

    def use(self, result: fx.Node) -> None:
        """Give the copy of ``result`` to all that is not computed in float64."""
        wide = self._copies[result]
        narrow = self._writer(wide, like=result).cast(wide, torch.float32)
        mark_as_stable(narrow)
        own = {*self.mode, *self._copies.values(), *self._casts.values(), narrow}
        result.replace_all_uses_with(narrow, delete_user_cb=lambda user: user not in own)

    def erase_unused(self) -> None:
        """Take out what was copied, and the copies, that nobody uses any more."""
        gone = {*self.mode, *self._copies.values()}
        for node in reversed(list(self._graph.nodes)):
            if node in gone and not node.users:
                self._graph.erase_node(node)

    def _operand(self, node: fx.Node, writer: Writer, mode: int) -> fx.Node:
        """``node`` in float64, if it is in float32."""
        if node in self._copies or not is_float32(node):
            return self._copies.get(node, node)
        if (node, mode) not in self._casts:
            self._casts[node, mode] = writer.cast(node, torch.float64)
        return self._casts[node, mode]

    def _writer(self, behind: fx.Node, *, like: fx.Node) -> Writer:
        """Writes behind a node what is of the line of another."""
        return Writer(self._graph, behind.next, lambda _: None, like=like)
