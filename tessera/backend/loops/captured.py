"""Loops over time in a graph that Dynamo captured.

    before   y, h, c = torch.lstm(x, ...)       an operator that is traced as the steps of every element
    after    y, h, c = recurrent.lstm(x, ...)   traced as one ``tessera::loop`` for each layer and direction

``tessera.scan`` is captured as torch's operator ``scan``; it becomes a loop likewise.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, fx

from tessera import torch_internals
from tessera.backend.loops import recurrent
from tessera.backend.loops.loop import run_loop
from tessera.program import copy_graph

_LAYERS: dict[Any, Callable[..., Any]] = {
    torch.lstm: recurrent.lstm,
    torch.gru: recurrent.gru,
    torch.rnn_tanh: recurrent.rnn_tanh,
    torch.rnn_relu: recurrent.rnn_relu,
}


def with_loops(graph_module: fx.GraphModule) -> fx.GraphModule:
    """A copy in which what loops over time is traced as one loop, where its sizes are known and it runs on a CPU."""
    copied = copy_graph(graph_module)
    for node in copied.graph.find_nodes(op="call_function", target=torch_internals.scan_operator()):
        turn = str(node.args[0].target)
        setattr(copied, turn, without_scans(getattr(copied, turn)))
        node.target = _in_loop if _is_known(node) else _written_out
    for kind, in_loops in _LAYERS.items():
        for node in copied.graph.find_nodes(op="call_function", target=kind):
            if isinstance(node.args[2], tuple | list) and _is_known(node):  # else a packed sequence
                node.target = in_loops
    copied.recompile()
    return copied


def without_scans(graph_module: fx.GraphModule) -> fx.GraphModule:
    """A copy in which ``tessera.scan`` is written out turn by turn, for where there is no loop."""
    copied = copy_graph(graph_module)
    for node in copied.graph.find_nodes(op="call_function", target=torch_internals.scan_operator()):
        turn = str(node.args[0].target)
        setattr(copied, turn, without_scans(getattr(copied, turn)))
        node.target = _written_out
    copied.recompile()
    return copied


def _is_known(node: fx.Node) -> bool:
    """Whether the operands lie on the CPU and have sizes that are numbers."""
    for operand in node.all_input_nodes:
        value = operand.meta.get("example_value")
        if operand.op != "get_attr" and (
            not isinstance(value, Tensor)
            or value.device.type != "cpu"
            or any(isinstance(size, torch.SymInt) for size in value.shape)
        ):
            return False
    return True


def _in_loop(
    turn: fx.GraphModule, init: Sequence[Tensor], xs: Sequence[Tensor], shared: Sequence[Tensor]
) -> tuple[Tensor, ...]:
    carries, ys = run_loop(turn, init, xs, shared)
    return *carries, *ys


def _written_out(
    turn: fx.GraphModule, init: Sequence[Tensor], xs: Sequence[Tensor], shared: Sequence[Tensor]
) -> tuple[Tensor, ...]:
    carries, rows = list(init), []
    for t in range(len(xs[0])):
        results = turn(*carries, *(x[t] for x in xs), *shared)
        carries = list(results[: len(carries)])
        rows.append(results[len(carries) :])
    return *carries, *(torch.stack(row) for row in zip(*rows, strict=True))
