"""Cross-entropy of classes in the second dimension is that of rows; done before there is a backward.

    before   loss = cross_entropy(logits.transpose(1, 2), target)                [batch, classes, seq], [batch, seq]
    after    loss = cross_entropy(logits'.flatten(0, -2), target.flatten())      [batch * seq, classes], [batch * seq]

``logits'`` has the classes last, as they lie in memory, so nothing is copied; where they do not lie so, as behind a
convolution, the loss stays as it is. Rows are what ``chunk_rows`` knows. The sum over places runs in another order:
promise close.
"""

from __future__ import annotations

import inspect
from typing import Any

import torch
from torch import Tensor, fx
from torch.nn import functional

from tessera.backend.rewrite import Captured, EarlyPass

_PARAMETERS = inspect.signature(functional.cross_entropy)


def flatten_cross_entropy(captured: Captured) -> int:
    """Flatten every cross-entropy whose classes lie last in memory; returns how many there were."""
    graph = captured.graph_module.graph
    found = [n for n in graph.find_nodes(op="call_function", target=functional.cross_entropy) if _fits(n)]
    for node in found:
        arguments = _arguments(node)
        with graph.inserting_before(node):
            last = graph.call_function(torch.movedim, (arguments["input"], 1, -1))
            arguments["input"] = graph.call_function(torch.flatten, (last, 0, -2))
            target, arguments["target"] = (
                arguments["target"],
                graph.call_function(torch.flatten, (arguments["target"],)),
            )
            new = graph.call_function(functional.cross_entropy, (), arguments)
            if arguments["reduction"] == "none":
                new = graph.call_function(torch.Tensor.view_as, (new, target))
        new.meta = node.meta
        node.replace_all_uses_with(new)
        graph.erase_node(node)
    return len(found)


def _arguments(node: fx.Node) -> dict[str, Any]:
    bound = _PARAMETERS.bind(*node.args, **node.kwargs)
    bound.apply_defaults()
    return bound.arguments


def _fits(node: fx.Node) -> bool:
    arguments = _arguments(node)
    logits, target = (getattr(arguments[name], "meta", {}).get("example_value") for name in ("input", "target"))
    if not isinstance(logits, Tensor) or not isinstance(target, Tensor) or logits.dim() < 3:
        return False
    if target.is_floating_point() or arguments["size_average"] is not None or arguments["reduce"] is not None:
        return False
    return logits.movedim(1, -1).is_contiguous()


FLATTEN_CROSS_ENTROPY = EarlyPass("flatten_cross_entropy", "close", flatten_cross_entropy)
