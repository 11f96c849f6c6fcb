"""Programs made by hand: a function traced on fake tensors, and its graph run on real ones."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import fx
from torch.fx.experimental.proxy_tensor import make_fx

from tessera.program import Program, Role, Value

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
