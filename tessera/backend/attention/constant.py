"""Values of a graph that depend on none of its inputs."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, fx

from tessera import torch_internals
from tessera.backend.attention.axes import operator_name

LARGEST = 1 << 26  # elements; larger ones are not computed to be looked at


def constant(node: fx.Node) -> Tensor | None:
    """The value of ``node``; None where it depends on an input, draws random numbers or is large."""
    try:
        return _computed(node, {})
    except _NotConstant:
        return None


def number(value: Any) -> float | None:
    """What a Python number, or a tensor, is everywhere; None where it is not constant, or not known to be the same."""
    if isinstance(value, (int, float)):
        return float(value)
    if not isinstance(value, fx.Node):
        return None
    if operator_name(value) in ("full", "full_like") and isinstance(value.args[1], (int, float)):
        return float(value.args[1])
    if value.meta["val"].numel() != 1:
        return None
    found = constant(value)
    return None if found is None else float(found)


class _NotConstant(Exception):
    """It depends on an input."""


def _computed(node: fx.Node, known: dict[fx.Node, Any]) -> Any:
    if node in known:
        return known[node]
    if node.op == "get_attr":
        value = getattr(node.graph.owning_module, str(node.target))
        if type(value) is not Tensor:
            raise _NotConstant
        return value
    value = node.meta.get("val")
    small = not isinstance(value, Tensor) or value.numel() <= LARGEST
    if node.op != "call_function" or not small or not torch_internals.is_operator(node.target):
        raise _NotConstant
    if torch_internals.is_random(node.target) or torch_internals.writes(node.target):
        raise _NotConstant
    args, kwargs = fx.node.map_arg((node.args, node.kwargs), lambda n: _computed(n, known))
    with torch.no_grad():
        known[node] = node.target(*args, **kwargs)  # type: ignore[operator]
    return known[node]
