"""Floats that a user rounds: ``x.bfloat16().float()`` has the precision of bfloat16, also inside of one kernel.

Inductor keeps what lies between operations in float32, and a number that was rounded and taken up again in the same
kernel was never rounded. For graphs with such a cast it is told to do as it is written; the products and norms of a
model that is in low precision altogether stay as fast as they are.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

import torch
from torch import fx

from tessera import torch_internals

_P = ParamSpec("_P")
_R = TypeVar("_R")
_LOW, _HIGH = (torch.float16, torch.bfloat16), (torch.float32, torch.float64)
_CASTS = ("to", "type", "type_as", "half", "bfloat16")


def rounds_explicitly(graph_module: fx.GraphModule) -> bool:
    """Whether a graph from Dynamo casts a tensor to low precision and uses what it got in high precision again."""
    return any(
        _dtype(node.args[0]) in _HIGH and any(_dtype(user) in _HIGH for user in node.users)
        for node in graph_module.graph.nodes
        if node.op == "call_method" and node.target in _CASTS and _dtype(node) in _LOW
    )


def as_written(graph_module: fx.GraphModule, compile_one: Callable[_P, _R]) -> Callable[_P, _R]:
    """``compile_one``, within which Inductor compiles casts as they are written if a graph from Dynamo needs that."""
    if not rounds_explicitly(graph_module):
        return compile_one

    @functools.wraps(compile_one)
    def exactly(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        with torch_internals.inductor_options({"emulate_precision_casts": True}):
            return compile_one(*args, **kwargs)

    return exactly


def _dtype(node: object) -> torch.dtype | None:
    value = node.meta.get("example_value") if isinstance(node, fx.Node) else None
    return value.dtype if isinstance(value, torch.Tensor) else None
