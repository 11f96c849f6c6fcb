"""What a rule is asked: one operation, with what is known of its arguments."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import fx

from tessera import torch_internals
from tessera.backend.ranges.formats import Format, format_of
from tessera.backend.ranges.identity import Identity
from tessera.backend.ranges.value_range import INF, TOP, Range, number

Answer = Range | tuple[Range, ...]


@dataclass
class Question:
    """One node of a graph.

    Attributes:
        node: an operation.
        known: the ranges of nodes before it.
        identity: which nodes hold the same values.
    """

    node: fx.Node
    known: Mapping[fx.Node, Answer]
    identity: Identity

    def argument(self, position: int, name: str = "", default: Any = None) -> Any:
        """An argument as the graph has it, by position or name."""
        if position < len(self.node.args):
            return self.node.args[position]
        return self.node.kwargs.get(name, default)

    def range(self, position: int, name: str = "") -> Range:
        """What is known of an argument, a tensor or a number."""
        return self.range_of(self.argument(position, name))

    def range_of(self, value: Any) -> Range:
        if isinstance(value, fx.Node):
            found = self.known.get(value, TOP)
            return found if isinstance(found, Range) else TOP
        if isinstance(value, (bool, int, float)):
            return number(float(value))
        return TOP

    def parts(self, value: Any) -> tuple[Range, ...]:
        """What is known of a list of tensors, or of what an operation with several results returned."""
        if isinstance(value, fx.Node):
            found = self.known.get(value, TOP)
            return found if isinstance(found, tuple) else (found,)
        return tuple(self.range_of(one) for one in value)

    @property
    def x(self) -> Range:
        """The first argument."""
        return self.range(0)

    @property
    def y(self) -> Range:
        """The second."""
        return self.range(1)

    @property
    def format(self) -> Format | None:
        """Of the result."""
        return format_of(dtype_of(self.node))

    def shape(self, node: Any = None) -> list[int]:
        """Sizes; one that is a symbol as it was while tracing. Of the first argument, where no node is given."""
        value = tensor_of(self.argument(0) if node is None else node)
        return [] if value is None else [_size(size) for size in value.shape]

    def dims(self, value: Any, node: Any = None) -> frozenset[int]:
        """Dims of the first argument that are reduced, counted from the front; none given: all."""
        rank = len(self.shape(node))
        if value is None or (isinstance(value, Sequence) and not value):
            return frozenset(range(rank))
        listed = value if isinstance(value, Sequence) else [value]
        return frozenset(dim % rank for dim in listed if isinstance(dim, int)) if rank else frozenset()

    def count(self, dims: frozenset[int]) -> tuple[float, float]:
        """How many values dims hold, at least and at most."""
        value = tensor_of(self.argument(0))
        least, most = 1.0, 1.0
        for dim in dims:
            size = value.shape[dim] if value is not None and dim < len(value.shape) else 1
            known = isinstance(size, int)
            least, most = least * (size if known else 1), most * (size if known else INF)
        return least, most

    def same(self, a: Any, b: Any) -> bool:
        return self.identity.same(a, b)


Rule = Callable[[Question], Answer]


def tensor_of(node: Any) -> torch.Tensor | None:
    """The fake tensor that stands for a node's result."""
    value = node.meta.get("val") if isinstance(node, fx.Node) else None
    return value if isinstance(value, torch.Tensor) else None


def dtype_of(node: Any) -> torch.dtype | None:
    """The dtype of a node's result, if it is a tensor."""
    value = tensor_of(node)
    return None if value is None else value.dtype


def _size(size: Any) -> int:
    hint = torch_internals.size_hint(size)
    return hint if isinstance(hint, int) else 2
