"""Finds attention in ATen operations: a softmax over the keys of a product of q and k, then a product with v.

    scores  = product(q, k)                   bmm, mm or baddbmm, whatever their dimensions stand for
    scores  = scale, add, where, cast, view   in any order and number
    p       = softmax(scores)                 over the axis that only k has
    out     = product(p, v)                   that sums over this axis

Axes are followed through views, so an ``einsum`` in any order of its letters, heads beside or behind the sequence and
grouped queries are one thing. What is not understood ends the search, and the graph stays as it is.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import fx

from tessera import torch_internals
from tessera.backend.attention.axes import Dim, Layout, leaves, new_dim, operator_name, settled, through
from tessera.backend.attention.constant import number
from tessera.backend.attention.forward_trace import ForwardTrace
from tessera.backend.attention.softmax import Softmax, find_softmax

LOWEST_FILL = -1e3  # what is filled in below this leaves nothing of a place, whatever the other scores are


@dataclass(frozen=True)
class Shown:
    """A tensor and the axes that its dimensions show; a dimension that shows none is the same everywhere."""

    node: fx.Node
    layout: Layout


@dataclass(frozen=True)
class Added:
    """``scores + factor * term``."""

    term: Shown
    factor: float


@dataclass(frozen=True)
class Filled:
    """``where(condition, value, scores)``; ``where(condition, scores, value)`` if not ``holds``."""

    condition: Shown
    value: float
    holds: bool


@dataclass
class Attention:
    """One attention: what goes in and comes out, and what happens to the scores.

    Attributes:
        scale: what the scores are multiplied by.
        factors: what their rows are multiplied by, or divided where the flag is set.
        bias: what is added and filled in, in order.
        inner, columns, own: the axes that q and k share, that k and v share, and that v has alone.
        inside: the operations from the first product to the second.
    """

    q: Shown
    k: Shown
    v: Shown
    out: Shown
    scale: float
    factors: list[tuple[Shown, bool]]
    bias: list[Added | Filled]
    inner: Dim
    columns: Dim
    own: Dim
    inside: list[fx.Node]


class NotAttention(Exception):
    """Why something that looks like attention is left as it is; empty where it is something else altogether."""


def find_attention(trace: ForwardTrace) -> Iterator[Attention | NotAttention]:
    """Every attention of a graph, and why what looks like one is none."""
    for node in trace.graph.nodes:
        if node in trace.live and (softmax := find_softmax(node)) is not None:
            try:
                yield _Search(trace, softmax).found()
            except NotAttention as why:
                if str(why):
                    yield why


@dataclass(frozen=True)
class _Product:
    """``rows`` are axes of ``a`` alone, ``columns`` of ``b`` alone, ``inner`` are summed over."""

    batch: Dim
    rows: Dim
    inner: Dim
    columns: Dim

    @property
    def layout(self) -> Layout:
        return self.batch, self.rows, self.columns


@dataclass
class _Search:
    trace: ForwardTrace
    softmax: Softmax
    scale: float = 1.0
    factors: list[tuple[Shown, bool]] = field(default_factory=list)
    bias: list[Added | Filled] = field(default_factory=list)

    def found(self) -> Attention:
        above = _path_to_product(self.softmax.scores, set())
        below = self._path_from(self.softmax.result, set())
        if above is None or below is None:
            raise NotAttention
        product, a, b, layout = self._first_product(above[0])
        for x, node in itertools.pairwise(above):
            layout = self._step(x, node, layout)
        columns = layout[self.softmax.dim]
        inside = [*above, *self.softmax.inside, *below]
        self._check_users(inside)
        v, out, own = self._second_product(below, layout)
        of_a, of_b, columns = leaves(product.rows), leaves(product.columns), leaves(columns)
        if not columns or set(columns) not in (set(of_a), set(of_b)):
            raise NotAttention
        q, k = (a, b) if set(columns) == set(of_b) else (b, a)
        inner, own = leaves(product.inner), leaves(own)
        found = Attention(q, k, v, out, self.scale, self.factors, self.bias, inner, columns, own, inside)
        for name in ("q", "k", "v", "out"):
            shown: Shown = getattr(found, name)
            setattr(found, name, Shown(shown.node, settled(shown.layout)))
        return found

    def _first_product(self, node: fx.Node) -> tuple[_Product, Shown, Shown, Layout]:
        a, b = _operands(node)
        size = (*a.meta["val"].shape[-2:], b.meta["val"].shape[-1])
        batch = new_dim(node.meta["val"].shape[0]) if len(node.meta["val"].shape) == 3 else ()
        product = _Product(batch, *map(new_dim, size))
        layout = product.layout
        shown = [Shown(a, (batch, product.rows, product.inner)), Shown(b, (batch, product.inner, product.columns))]
        if len(node.meta["val"].shape) == 2:
            layout, shown = layout[1:], [Shown(one.node, one.layout[1:]) for one in shown]
        if operator_name(node) == "baddbmm":
            alpha, beta = (float(node.kwargs.get(name, 1)) for name in ("alpha", "beta"))  # type: ignore[arg-type]
            self.scale *= alpha
            if beta:
                self._add(node.args[0], beta, layout)
        return product, *shown, layout  # type: ignore[return-value]

    def _second_product(self, path: Sequence[fx.Node], layout: Layout) -> tuple[Shown, Shown, Dim]:
        columns = layout[self.softmax.dim]
        p: Any = self.softmax.result
        for node in path[:-1]:
            if _is_cast(node):
                self._check_cast(node, path[-1].meta["val"].dtype)
            elif (moved := through(node, layout)) is not None:
                layout = moved
            else:
                raise NotAttention(_on_probabilities(node))
            p = node
        product = path[-1]
        a, b = _operands(product)
        if (a is p) == (b is p) or operator_name(product) == "baddbmm":
            raise NotAttention
        batch: Layout = layout[:-2]
        summed, kept = (layout[-1], layout[-2]) if a is p else (layout[-2], layout[-1])
        own = new_dim((b if a is p else a).meta["val"].shape[-1 if a is p else -2])
        if not leaves(summed) or set(leaves(summed)) != set(leaves(columns)):
            raise NotAttention
        if a is p:
            return Shown(b, (*batch, summed, own)), Shown(product, (*batch, kept, own)), own
        return Shown(a, (*batch, own, summed)), Shown(product, (*batch, own, kept)), own

    def _check_users(self, inside: Sequence[fx.Node]) -> None:
        known = set(inside)
        for node in inside[:-1]:
            used = (user in self.trace.live and user not in known for user in node.users)
            if node in self.trace.results or any(used):
                raise NotAttention("its scores or probabilities are used elsewhere")

    def _path_from(self, node: fx.Node, seen: set[fx.Node]) -> list[fx.Node] | None:
        """The operations from ``node`` to a product."""
        for user in node.users:
            if user not in self.trace.live or user in seen:
                continue
            seen.add(user)
            if _is_product(user):
                return [user]
            if _is_elementwise(user) and (rest := self._path_from(user, seen)) is not None:
                return [user, *rest]
        return None

    def _step(self, x: fx.Node, node: fx.Node, layout: Layout) -> Layout:
        """One operation on the scores ``x``."""
        name = operator_name(node)
        if _is_cast(node):
            self._check_cast(node, x.meta["val"].dtype)
            return layout
        if (moved := through(node, layout)) is not None:
            return moved
        if any(value is not x for value in node.all_input_nodes) and node.meta["val"].shape != x.meta["val"].shape:
            raise NotAttention
        if name in ("mul", "div"):
            other = node.args[1] if node.args[0] is x else node.args[0]
            if node.args[0] is other and (name == "div" or node.args[1] is other):
                raise NotAttention(f"{name} of its scores")
            self._multiply(other, name == "div", layout)
        elif name in ("add", "sub"):
            first, other = node.args[:2]
            sign = float(node.kwargs.get("alpha", 1)) * (1 if name == "add" else -1)  # type: ignore[arg-type]
            if first is not x:
                if name == "sub" or sign != 1:
                    raise NotAttention(f"{name} of its scores")
                other = first
            self._add(other, sign, layout)
        elif name == "masked_fill" and node.args[0] is x:
            self._fill(node.args[1], node.args[2], True, layout)
        elif name == "where" and len(node.args) == 3 and node.args[0] is not x:
            condition, chosen, other = node.args
            self._fill(condition, chosen if other is x else other, other is x, layout)
        else:
            raise NotAttention(f"{name} of its scores")
        return layout

    def _multiply(self, other: Any, divide: bool, layout: Layout) -> None:
        if (value := number(other)) is not None:
            if not math.isfinite(value) or value == 0:
                raise NotAttention("its scores are multiplied by zero or infinity")
            factor = 1 / value if divide else value
            if factor < 0 and any(isinstance(one, Filled) for one in self.bias):
                raise NotAttention("its scores are masked and change their sign after that")
            self.scale *= factor
            self.bias = [
                Added(one.term, one.factor * factor)
                if isinstance(one, Added)
                else self._filled(one.condition, one.value * factor, one.holds)
                for one in self.bias
            ]
        elif self.bias:
            raise NotAttention("its scores are masked and multiplied by a tensor after that")
        else:
            self.factors.append((_aligned(other, layout), divide))

    def _add(self, other: Any, factor: float, layout: Layout) -> None:
        if isinstance(other, fx.Node):
            if other in self.trace.trained:
                raise NotAttention("what is added to its scores is trained, and that gradient needs all scores")
            self.bias.append(Added(_aligned(other, layout), factor))
        # The same number everywhere does not change a softmax; but what is filled in stays what it is.
        elif any(isinstance(one, Filled) for one in self.bias) or not math.isfinite(float(other)):
            raise NotAttention("a number is added to its scores")

    def _fill(self, condition: Any, value: Any, holds: bool, layout: Layout) -> None:
        filled = number(value)
        if filled is None:
            raise NotAttention("its scores are replaced by something that is computed")
        self.bias.append(self._filled(_aligned(condition, layout), filled, holds))

    def _filled(self, condition: Shown, value: float, holds: bool) -> Filled:
        if not value <= LOWEST_FILL:
            raise NotAttention(f"its scores are replaced by {value:g}, which leaves something of a place")
        return Filled(condition, value, holds)

    def _check_cast(self, node: fx.Node, least: torch.dtype) -> None:
        dtype = node.meta["val"].dtype
        if not dtype.is_floating_point or torch.finfo(dtype).eps > torch.finfo(least).eps:
            raise NotAttention(f"a cast to {dtype}")


def _aligned(node: Any, layout: Layout) -> Shown:
    """What a tensor that is spread over the scores shows of them."""
    value = node.meta["val"]
    if value.dim() > len(layout):
        raise NotAttention
    dims = layout[len(layout) - value.dim() :]
    shown = (
        () if size == 1 or stride == 0 else dim
        for size, stride, dim in zip(value.shape, value.stride(), dims, strict=True)
    )
    return Shown(node, tuple(shown))


def _path_to_product(node: Any, seen: set[fx.Node]) -> list[fx.Node] | None:
    """The operations from a product to ``node``."""
    if _is_product(node):
        return [node]
    if node in seen or not _is_elementwise(node):
        return None
    seen.add(node)
    for source in node.all_input_nodes:
        value = source.meta.get("val")
        same = isinstance(value, torch.Tensor) and value.numel() == node.meta["val"].numel()
        if same and value.is_floating_point() and (path := _path_to_product(source, seen)) is not None:
            return [*path, node]
    return None


def _is_product(node: fx.Node) -> bool:
    return node.target in _PRODUCTS


def _operands(product: fx.Node) -> tuple[fx.Node, fx.Node]:
    a, b = product.args[-2:]
    return a, b  # type: ignore[return-value]


def _is_cast(node: fx.Node) -> bool:
    return operator_name(node) in ("_to_copy", "convert_element_type")


def _is_elementwise(node: fx.Node) -> bool:
    """Whether it moves elements or works on each."""
    if (
        node.op != "call_function"
        or not torch_internals.is_operator(node.target)
        or operator_name(node).startswith("full")
    ):
        return False
    moves = torch_internals.is_view(node.target) or operator_name(node) in ("clone", "_unsafe_view", "native_dropout")
    return moves or _is_cast(node) or torch.Tag.pointwise in node.target.tags  # type: ignore[union-attr]


def _on_probabilities(node: fx.Node) -> str:
    nodes = [node]
    while nodes:
        one = nodes.pop()
        if torch_internals.is_operator(one.target) and torch_internals.is_random(one.target):
            return "dropout of its probabilities, which the fused kernel for a CPU has not"
        if one is node or (_is_elementwise(one) and one.meta["val"].numel() == node.meta["val"].numel()):
            nodes += one.all_input_nodes if one is node or operator_name(one) != "_softmax" else []
    return f"{operator_name(node)} of its probabilities"


_aten = torch.ops.aten
_PRODUCTS = (_aten.bmm.default, _aten.mm.default, _aten.baddbmm.default)
