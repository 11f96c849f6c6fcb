"""What runs a loop: its turn, compiled once.

The turn writes its results where they belong: into their stacks, and the new carries beside the old ones, which is
where the next turn writes. Where threads can share the rows of all turns out among them, none waits for another before
the end.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any, cast

import torch
from torch import Tensor, fx

from tessera import torch_internals
from tessera.backend.graph_compiler import compile_graph
from tessera.backend.loops.body import Body, Like
from tessera.backend.loops.native_loop import NativeLoop, make_native_loop
from tessera.backend.loops.row_wise import for_rows, rows_of
from tessera.backend.memory_pool import MemoryPool


class CompiledLoop:
    """A loop for any number of turns.

    Attributes:
        carries, ys: what one turn hands on and leaves behind.
        output: the compiled turn; None where it runs eagerly, or ``native`` has parts of it.
        native: the loop as one C call; None where Python calls each turn.
        note: why its turns are not compiled, if they are not.
    """

    def __init__(
        self,
        carries: Sequence[Like],
        ys: Sequence[Like],
        output: torch_internals.InductorOutput | None = None,
        native: NativeLoop | None = None,
        eagerly: Callable[[list[Any]], Sequence[Any]] | None = None,
        note: str = "",
    ) -> None:
        self.carries, self.ys, self.output, self.native, self.note = carries, ys, output, native, note
        self._allocate = MemoryPool().allocate
        call = eagerly if output is None else output.call
        self._call = None if call is None else torch_internals.without_gradients(call)

    @staticmethod
    def of(body: Body) -> CompiledLoop:
        """The loop of a body, which is compiled now."""
        try:
            with torch_internals.outside_captures():
                return CompiledLoop(body.carries, body.ys, *_compile(body))
        except Exception as error:  # whatever Inductor or the C++ compiler raises, the loop still runs
            note = f"the turns of a time loop run eagerly: {torch_internals.compiler_reason(error)}"
            eagerly = functools.partial(_eagerly, writing_turn(body))
            return CompiledLoop(body.carries, body.ys, eagerly=eagerly, note=note)

    def __call__(
        self, init: Sequence[Tensor], xs: Sequence[Tensor], shared: Sequence[Tensor], turns: int, *, reverse: bool
    ) -> list[Tensor]:
        old = [one.clone(memory_format=torch.contiguous_format) for one in init]
        new = [one.empty() for one in self.carries]
        xs, shared = [one.contiguous() for one in xs], [one.contiguous() for one in shared]
        ys = [self._stack(one, turns) for one in self.ys]
        if self.native is not None:
            self.native([*old, *xs, *shared, *new, *ys], turns, reverse=reverse)
            return [*(new if turns % 2 else old), *ys]
        call = cast("Callable[[list[Tensor]], Sequence[Tensor]]", self._call)  # there is one where there is no C form
        for t in reversed(range(turns)) if reverse else range(turns):
            call([*old, *(x[t] for x in xs), *shared, *new, *(y[t] for y in ys)])
            old, new = new, old
        return [*old, *ys]

    def _stack(self, one: Like, turns: int) -> Tensor:
        strides = torch.empty(one.shape, device="meta").stride()
        return self._allocate((turns, *one.shape), (math.prod(one.shape), *strides), one.dtype)


def _compile(body: Body) -> tuple[torch_internals.InductorOutput | None, NativeLoop | None]:
    threads, rows = torch.get_num_threads(), rows_of(body)
    if threads > 1 and rows and rows % threads == 0:
        part = for_rows(body, rows // threads)
        if native := make_native_loop(part, _compiled(part, threads=1), threads):
            return None, native
    output = _compiled(body, threads=-1)
    return output, make_native_loop(body, output, 1)


def _compiled(body: Body, threads: int) -> torch_internals.InductorOutput:
    graph = writing_turn(body)
    examples = [node.meta["val"] for node in graph.graph.find_nodes(op="placeholder")]
    inductor = functools.partial(torch_internals.compile_with_inductor, threads=threads)
    return compile_graph(graph, examples, inductor)[0]


def _eagerly(graph: fx.GraphModule, inputs: list[Tensor]) -> Sequence[Tensor]:
    results: Sequence[Tensor] = graph(*inputs)
    return results


def writing_turn(body: Body) -> fx.GraphModule:
    """The turn with its results written into tensors that it is given."""
    last = len(body.operands)

    def turn(*flat: Tensor) -> list[Tensor]:
        for to, value in zip(flat[last:], body.graph(*flat[:last]), strict=True):
            to.copy_(value)
        return []

    makers = [one.empty for one in (*body.operands, *body.carries, *body.ys)]
    return torch_internals.trace_aside(turn, makers, decompose=True)
