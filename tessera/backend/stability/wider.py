"""What no rule has made stable and float32 is wrong for is computed in float64, and rounded once, at its end.

    before   a = atan(x) - x                                     0 where x is 1e-4, and not -3e-13
    after    y = x.double(); a = (atan(y) - y).float()

Fused, it reads and writes what it did before; its arithmetic takes twice the width. Its gradient is in float64 too.
What float16 and bfloat16 are wrong for is computed in float32, as fused kernels do it anyway: an infinite square or
sum in the middle is none any more.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, fx

from tessera import torch_internals
from tessera.backend.stability.expressions import (
    Expression,
    can_leave_range,
    expressions,
    is_conversion,
    is_kept,
    is_mixture,
    is_of,
    is_running_total,
)
from tessera.backend.stability.reading import Reader
from tessera.backend.stability.sampling import (
    CAREFUL,
    LOW,
    RANGE,
    STRICT,
    CannotTry,
    Demand,
    arguments,
    is_inaccurate,
    usual,
)
from tessera.backend.stability.spelling import example
from tessera.backend.stability.suspects import cancels_products, is_small_product
from tessera.backend.stability.writing import Writer
from tessera.program import is_marked_as_stable, mark_as_stable, source_line

WITHOUT_FLOAT64 = ("mps",)
LARGE = 2**20  # elements
UNTRIED = "not tried"
NARROW = (torch.float32, torch.float16, torch.bfloat16)


def widen(graph: fx.Graph, reader: Reader, meant: set[fx.Node], gates: set[fx.Node], spare: set[fx.Node]) -> list[str]:
    """Compute in a wider dtype what is inaccurate; returns what was, ``"computed in float64 at model.py:12"``.

    What a rule has written for ``1 - sigmoid(x)`` are ``gates``: a recurrent cell has them, and stays in float32.
    """
    notes, untried = list[str](), list[fx.Node]()
    known = dict[str, torch.dtype | None]()
    for dtype in NARROW:
        inaccurate = list[tuple[Expression, torch.dtype]]()
        # In low precision an eps is none: what it is added to is not undone but kept.
        for expression in expressions(graph, reader, meant if dtype is torch.float32 else set(), dtype, untried):
            if not spare.isdisjoint(expression.nodes) and is_mixture(expression.nodes):
                continue  # of gates that have been tried
            key = expression.structure(gates)
            if key not in known:
                try:
                    known[key] = _needed(expression, gates)
                except CannotTry:
                    known[key] = None
                    untried.append(expression.result)
            if (needed := known[key]) is not None:
                inaccurate.append((expression, needed))
        for needed in (torch.float32, torch.float64):
            notes += _widened(graph, [one for one, its in inaccurate if its is needed], needed)
    return notes + [f"{UNTRIED}{_place(node)}" for node in untried]


def _widened(graph: fx.Graph, inaccurate: list[Expression], dtype: torch.dtype) -> list[str]:
    wide = _Wide(graph, dtype)
    places = [_place(expression.result) for expression in inaccurate]
    for expression in inaccurate:
        wide.mode.update(dict.fromkeys(expression.nodes, expression.mode))
    for node in [node for node in graph.nodes if node in wide.mode and not is_kept(node)]:
        wide.copy(node)
    for expression in inaccurate:
        wide.use(expression.result)
    wide.erase_unused()
    return [f"computed in {str(dtype).removeprefix('torch.')}{place}" for place in places]


def _place(node: fx.Node) -> str:
    line = source_line(node)
    return f" at {line.file}:{line.line}" if line else ""


def _needed(expression: Expression, gates: set[fx.Node]) -> torch.dtype | None:
    """The dtype that it is accurate in; None if that is its own, or the device has no other."""
    has_float64 = example(expression.result).device.type not in WITHOUT_FLOAT64
    if expression.dtype is torch.float32:
        demands = [_demand(expression, gates)]
        if can_leave_range(expression.nodes) and _largest(expression) <= LARGE:
            demands.append(RANGE)
        wrong = has_float64 and any(is_inaccurate(expression, demand) for demand in demands)
        return torch.float64 if wrong else None
    if is_running_total(expression.nodes):
        return torch.float32
    low = LOW[expression.dtype]
    if not is_inaccurate(expression, low):
        return None
    return torch.float64 if has_float64 and is_inaccurate(expression, low, torch.float32) else torch.float32


def _demand(expression: Expression, gates: set[fx.Node]) -> Demand:
    """Of what was spelled unstably, and a rule has rewritten, every digit; unless it is large, and would take long."""
    others = [node for node in expression.nodes if node not in gates]
    strict = any(map(is_marked_as_stable, others)) or (len(others) < len(expression.nodes) and not is_mixture(others))
    careful = cancels_products(others) or any(map(is_small_product, others))
    if not (strict or careful) or _largest(expression) > LARGE:
        return usual(expression)
    return STRICT if strict else CAREFUL


def _largest(expression: Expression) -> int:
    """How many elements it has."""
    return max(
        math.prod(torch_internals.size_hint(n) for n in example(node).shape)
        for node in expression.nodes
        if isinstance(example(node), Tensor)
    )


class _Wide:
    """The copies of a graph's nodes in a wider dtype."""

    def __init__(self, graph: fx.Graph, dtype: torch.dtype) -> None:
        self._graph, self._dtype = graph, dtype
        self.mode: dict[fx.Node, int] = {}  # of what is to be copied
        self._copies: dict[fx.Node, fx.Node] = {}
        self._casts: dict[tuple[fx.Node, int], fx.Node] = {}  # of what is given, in each mode

    def copy(self, node: fx.Node) -> None:
        """Compute ``node`` in the dtype as well; what it is made of comes first."""
        writer = self._writer(node, like=node)
        args, kwargs = fx.node.map_arg(arguments(node), lambda one: self._operand(one, writer, self.mode[node]))
        if is_conversion(node):
            self._copies[node] = args[0]
            return
        self._copies[node] = writer.again(node, args, kwargs)
        mark_as_stable(self._copies[node])

    def use(self, result: fx.Node) -> None:
        """Give the copy of ``result`` to all that is not computed so."""
        wide = self._copies[result]
        narrow = self._writer(wide, like=result).cast(wide, example(result).dtype)
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
        """``node`` in the dtype, if it is in a narrower one."""
        if node in self._copies or not any(is_of(node, dtype) for dtype in NARROW if dtype is not self._dtype):
            return self._copies.get(node, node)
        if (node, mode) not in self._casts:
            self._casts[node, mode] = writer.cast(node, self._dtype)
        return self._casts[node, mode]

    def _writer(self, behind: fx.Node, *, like: fx.Node) -> Writer:
        """Writes behind a node what is of the line of another."""
        return Writer(self._graph, behind.next, lambda _: None, like=like)
