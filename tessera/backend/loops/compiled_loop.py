"""A turn compiled once, and called for every element."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import cast

import torch
from torch import Tensor, fx

from tessera import torch_internals
from tessera.backend.graph_compiler import compile_graph
from tessera.backend.loops.body import Body, Like


class CompiledLoop:
    """What runs a loop.

    The compiled turn writes its results where they belong: into their stacks, and the new carries beside the old ones,
    which is where the next turn writes.

    Attributes:
        carries, ys: what one turn hands on and leaves behind.
        output: the compiled turn; None where it runs eagerly.
        note: why its turns are not compiled, if they are not.
    """

    def __init__(
        self,
        carries: Sequence[Like],
        ys: Sequence[Like],
        output: torch_internals.InductorOutput | None,
        eagerly: Callable[[list[Tensor]], Sequence[Tensor]] | None = None,
        note: str = "",
    ) -> None:
        self.carries, self.ys, self.output, self.note = carries, ys, output, note
        call = eagerly if output is None else output.call
        self._call = torch_internals.without_gradients(cast("Callable[[list[Tensor]], Sequence[Tensor]]", call))

    @staticmethod
    def of(body: Body) -> CompiledLoop:
        """The loop of a body, which is compiled now."""
        graph = _writing(body)
        examples = [node.meta["val"] for node in graph.graph.find_nodes(op="placeholder")]
        try:
            with torch_internals.outside_captures():
                return CompiledLoop(body.carries, body.ys, compile_graph(graph, examples)[0])
        except Exception as error:  # whatever Inductor or the C++ compiler raises, the loop still runs
            note = f"the turns of a time loop run eagerly: {torch_internals.compiler_reason(error)}"
            return CompiledLoop(body.carries, body.ys, None, functools.partial(_eagerly, graph), note)

    def __call__(
        self, init: Sequence[Tensor], xs: Sequence[Tensor], shared: Sequence[Tensor], turns: int, *, reverse: bool
    ) -> list[Tensor]:
        old = [one.clone(memory_format=torch.contiguous_format) for one in init]
        new = [one.empty() for one in self.carries]
        xs, shared = [one.contiguous() for one in xs], [one.contiguous() for one in shared]
        ys = [one.empty(turns) for one in self.ys]
        for t in reversed(range(turns)) if reverse else range(turns):
            self._call([*old, *(x[t] for x in xs), *shared, *new, *(y[t] for y in ys)])
            old, new = new, old
        return [*old, *ys]


def _eagerly(graph: fx.GraphModule, inputs: list[Tensor]) -> Sequence[Tensor]:
    results: Sequence[Tensor] = graph(*inputs)
    return results


def _writing(body: Body) -> fx.GraphModule:
    """The turn with its results written into tensors that it is given."""
    last = len(body.operands)

    def turn(*flat: Tensor) -> list[Tensor]:
        for to, value in zip(flat[last:], body.graph(*flat[:last]), strict=True):
            to.copy_(value)
        return []

    makers = [one.empty for one in (*body.operands, *body.carries, *body.ys)]
    return torch_internals.trace_aside(turn, makers, decompose=True)
