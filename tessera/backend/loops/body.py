"""One turn of a loop as an ATen graph for known shapes: ``carry, x, shared -> carry', y``."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, fx

from tessera import torch_internals

Turn = Callable[..., list[Tensor]]


@dataclass(frozen=True)
class Like:
    """A tensor without its values."""

    shape: tuple[int, ...]
    dtype: torch.dtype
    device: torch.device

    def on(self, device: torch.device) -> Like:
        """The same on another device."""
        return replace(self, device=device)

    def empty(self, *leading: int) -> Tensor:
        """Memory for such a tensor, or for a stack of them."""
        return torch.empty((*leading, *self.shape), dtype=self.dtype, device=self.device)


def like(value: Tensor) -> Like:
    """What describes ``value``."""
    return Like(tuple(value.shape), value.dtype, value.device)


def part_of(stack: Tensor) -> Like:
    """What describes one turn's element of ``stack``."""
    return Like(tuple(stack.shape[1:]), stack.dtype, stack.device)


@dataclass(frozen=True)
class Body:
    """What one turn computes.

    Attributes:
        graph: takes the carries, the turn's element of each of ``xs``, then what all turns share; returns the new
            carries, then the turn's element of each of ``ys``.
    """

    graph: fx.GraphModule = field(repr=False, compare=False)
    carries: tuple[Like, ...]
    xs: tuple[Like, ...]
    shared: tuple[Like, ...]

    @functools.cached_property
    def ys(self) -> tuple[Like, ...]:
        return tuple(like(node.meta["val"]) for node in self.returned[len(self.carries) :])

    @functools.cached_property
    def name(self) -> str:
        """A name that is the same in every process: a hash of what the body computes."""
        described = f"{self.graph.code}{self.carries}{self.xs}{self.shared}"
        return hashlib.sha256(described.encode()).hexdigest()[:16]

    @property
    def operands(self) -> tuple[Like, ...]:
        """In the order in which the graph takes them."""
        return (*self.carries, *self.xs, *self.shared)

    @property
    def returned(self) -> list[fx.Node]:
        return list(self.graph.graph.output_node().args[0])  # type: ignore[arg-type]


def trace_body(turn: Turn, carries: Sequence[Like], xs: Sequence[Like], shared: Sequence[Like]) -> Body:
    """The body that computes ``turn(*carries, *xs, *shared) -> [*carries, *ys]``."""
    functional = torch.func.functionalize(turn, remove="mutations")
    graph = torch_internals.trace_aside(functional, [one.empty for one in (*carries, *xs, *shared)])
    return Body(graph, tuple(carries), tuple(xs), tuple(shared))
