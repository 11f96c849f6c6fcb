"""Programs made by hand: a function traced on fake tensors, and its graph run on real ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import fx
from torch.fx.experimental.proxy_tensor import make_fx
from torch.utils._pytree import tree_flatten, tree_unflatten

from tessera.program import COPY, Phase, Program, Role, Value

aten = torch.ops.aten


def program(function: Callable[..., tuple[torch.Tensor, ...]], *inputs: torch.Tensor) -> Program:
    """``function`` of tensors, which returns a tuple, as a Program for inputs like these."""
    module = make_fx(function, tracing_mode="fake")(*inputs)
    (returned,) = module.graph.output_node().args
    return Program(
        "hand-made",
        module,
        inputs=[Value(node.name, Role.BATCH) for node in module.graph.find_nodes(op="placeholder")],
        outputs=[Value(f"output {i}", Role.RESULT) for i in range(len(returned))],
    )


def run(made: Program, *inputs: torch.Tensor) -> list[torch.Tensor]:
    """What the graph of a Program returns, as it stands now."""
    module = fx.GraphModule(made.graph_module, made.graph)
    return list(module(*(value.clone() for value in inputs)))


def targets(made: Program) -> list[object]:
    """The operations of a Program, in order."""
    return [node.target for node in made.graph.nodes if node.op == "call_function"]


def updating_program(function: Callable[..., list[torch.Tensor]], number: torch.Tensor, *lists: list[Any]) -> Program:
    """A Program of ``function(number, *lists)``, whose results are written to the tensors of the first lists."""
    flat, spec = tree_flatten(lists)

    def pure(number: torch.Tensor, *flat: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return tuple(function(number, *tree_unflatten(flat, spec)))

    made = program(pure, number, *flat)
    written = len(made.outputs)
    write_back(made, made.placeholders[1 : 1 + written], written)
    return made


def write_back(made: Program, destinations: list[fx.Node], count: int) -> None:
    """Turn the last ``count`` results into writes to ``destinations``; all operations become part of the update."""
    output, results = made.graph.output_node(), made.results
    for node in made.graph.nodes:
        node.meta["phase"] = Phase.UPDATE
    with made.graph.inserting_before(output):
        for destination, source in zip(destinations, results[-count:], strict=True):
            made.graph.call_function(COPY, (destination, source)).meta["phase"] = Phase.UPDATE
    output.args = (tuple(results[:-count]),)
    made.outputs = made.outputs[:-count]
