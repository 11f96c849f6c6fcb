"""Dropout that drops nothing is what it was given, as in eager; done before there is a backward.

    before   y = dropout(x, 0.5, training=False); y.add_(1)
    after    x.add_(1)

PyTorch returns the tensor itself: a write to the result is one to the input. What torch traces it to is a copy, in 2.11
to 2.13, and the write is lost.
"""

from __future__ import annotations

import inspect
from typing import Any

import torch
from torch import fx
from torch.nn import functional

from tessera.backend.rewrite import Captured, EarlyPass


def leave_out_dropout(captured: Captured) -> int:
    """Replace every dropout that does nothing by its input; returns how many there were."""
    graph = captured.graph_module.graph
    found = [node for node in graph.nodes if drops_nothing(node)]
    for node in found:
        node.replace_all_uses_with(_arguments(node)["input"])
        graph.erase_node(node)
    return len(found)


def drops_nothing(node: fx.Node) -> bool:
    """Whether a node of what Dynamo captured is dropout that returns its input."""
    if node.op != "call_function" or node.target not in (functional.dropout, torch.dropout):
        return False
    arguments = _arguments(node)
    training, p = arguments["training"], arguments["p"]
    return isinstance(arguments["input"], fx.Node) and (training is False or (type(p) in (int, float) and p == 0))


def _arguments(node: fx.Node) -> dict[str, Any]:
    """By the names of ``functional.dropout``; ``torch.dropout`` has another for the last."""
    named = {"training" if name == "train" else name: value for name, value in node.kwargs.items()}
    bound = _SIGNATURE.bind(*node.args, **named)
    bound.apply_defaults()
    return bound.arguments


_SIGNATURE = inspect.signature(functional.dropout)

LEAVE_OUT_DROPOUT = EarlyPass("leave_out_dropout", "bitwise", leave_out_dropout)
