"""Which axis of what a view shows: dimensions as products of axes that views split, merge and reorder.

A dimension is a tuple of axes, the slowest first; a dimension of size 1 is the empty tuple. ``[batch * heads, rows]``
is ``((b, h), (m,))``. A view that divides a dimension splits the axis itself, wherever it is shown.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from torch import fx


class Axis:
    """One range of indices; split, it stands for its parts."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._parts: tuple[Axis, ...] = ()

    def leaves(self) -> tuple[Axis, ...]:
        return tuple(leaf for part in self._parts for leaf in part.leaves()) if self._parts else (self,)

    def split(self, first: int) -> tuple[Axis, Axis]:
        self._parts = two = Axis(first), Axis(self.size // first)
        return two


def operator_name(node: fx.Node) -> str:
    """``permute`` of ``aten.permute.default``; empty for what is no operator."""
    return str(getattr(getattr(node.target, "overloadpacket", None), "__name__", ""))


Dim = tuple[Axis, ...]
Layout = tuple[Dim, ...]


def new_dim(size: int) -> Dim:
    """A dimension that nothing is known of."""
    return () if size == 1 else (Axis(size),)


def leaves(axes: Iterable[Axis]) -> Dim:
    """Axes as they are split by now."""
    return tuple(leaf for axis in axes for leaf in axis.leaves())


def settled(layout: Layout) -> Layout:
    """A layout of axes as they are split by now."""
    return tuple(map(leaves, layout))


def size_of(axes: Iterable[Axis]) -> int:
    """How many elements they have together."""
    return math.prod(axis.size for axis in axes)


def viewed(layout: Layout, shape: Sequence[int]) -> Layout | None:
    """The layout of the same elements, in the same order, in another shape; None where axes do not divide so."""
    waiting = [axis for dim in settled(layout) for axis in dim]
    found = []
    for size in shape:
        dim: list[Axis] = []
        missing = size
        while missing > 1:
            if not waiting:
                return None
            axis = waiting.pop(0)
            if axis.size > missing:
                if axis.size % missing:
                    return None
                axis, rest = axis.split(missing)
                waiting.insert(0, rest)
            if missing % axis.size:
                return None
            missing //= axis.size
            dim.append(axis)
        found.append(tuple(dim))
    return tuple(found) if not waiting else None


def through(node: fx.Node, layout: Layout) -> Layout | None:
    """The layout of what a node makes of an operand with ``layout`` by moving elements; None where it does more."""
    name, shape = operator_name(node), tuple(node.meta["val"].shape)
    if name in _RESHAPING:
        return viewed(layout, shape)
    if name in ("expand", "slice"):  # of its own size
        more = len(shape) - len(layout)
        same = shape == (1,) * more + tuple(map(size_of, settled(layout)))
        return ((),) * more + layout if same else None
    order = _order(node, len(layout))
    return None if order is None else tuple(layout[i] for i in order)


def behind(node: fx.Node, layout: Layout) -> Layout | None:
    """The layout of the operand of which ``node`` shows the elements with ``layout``; None where it does more."""
    name, operand = operator_name(node), node.args[0] if node.args else None
    if name in _RESHAPING:
        return viewed(layout, tuple(operand.meta["val"].shape))  # type: ignore[union-attr]
    if name == "expand":
        shape = operand.meta["val"].shape  # type: ignore[union-attr]
        own = layout[len(layout) - len(shape) :]
        return tuple(() if size == 1 else dim for size, dim in zip(shape, own, strict=True))
    order = _order(node, len(layout))
    return None if order is None else tuple(layout[order.index(i)] for i in range(len(layout)))


_RESHAPING = ("view", "_unsafe_view", "unsqueeze", "squeeze")  # a dimension of size 1 shows no axis


def _order(node: fx.Node, dims: int) -> list[int] | None:
    """Which dimension of its operand each of a node's is; None where it does more than reorder."""
    name, args = operator_name(node), node.args[1:]
    order = list(range(dims))
    if name == "permute":
        return [int(i) % dims for i in args[0]]  # type: ignore[union-attr, arg-type]
    if name in ("transpose", "t") and dims > 1:
        first, second = (0, 1) if name == "t" else (int(i) % dims for i in args)  # type: ignore[arg-type]
        order[first], order[second] = second, first
    return order if name in ("clone", "alias", "transpose", "t") else None
