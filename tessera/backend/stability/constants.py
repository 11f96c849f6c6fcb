"""What a captured graph computes of no input at all: masks, positions, tables of numbers.

torch.arange(5), torch.tensor([12.9, 78.2]), ~torch.ones(5, 5).tril().bool()
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, fx

from tessera import torch_internals
from tessera.backend.stability.spelling import call_of, example

LARGEST = 2**22  # elements
DEEPEST = 16  # operations
_MADE = frozenset({"tensor", "arange", "ones", "zeros", "full", "eye", "linspace", "logspace", "as_tensor"})
_COMPUTED = frozenset(
    {
        *("add", "sub", "mul", "div", "neg", "abs", "pow", "exp", "log", "sqrt", "reciprocal", "sin", "cos"),
        *("gt", "ge", "lt", "le", "eq", "ne", "invert", "logical_not", "logical_and", "logical_or", "and", "or"),
        *("triu", "tril", "unsqueeze", "squeeze", "view", "reshape", "expand", "transpose", "t", "permute", "flip"),
        *("getitem", "to", "float", "bool", "long", "type", "contiguous", "clone", "outer", "where", "masked_fill"),
    }
)


def constant(node: Any) -> Tensor | None:
    """The tensor that ``node`` always is, on the CPU; None if it depends on an input, or is large."""
    value = example(node)
    if not isinstance(value, Tensor) or not all(isinstance(size, int) for size in value.shape):
        return None
    if math.prod(value.shape) > LARGEST:
        return None
    try:
        with torch.device("cpu"), torch.no_grad():
            return _computed(node, 0)
    except (RuntimeError, TypeError, ValueError, LookupError):
        return None


def _computed(node: fx.Node, depth: int) -> Tensor:
    if node.op == "get_attr" and str(node.target).startswith("_tensor_constant"):
        held = getattr(node.graph.owning_module, str(node.target))
        if type(held) is Tensor and not torch_internals.is_fake(held):
            return held.cpu()
    call = call_of(node)
    if depth > DEEPEST or call is None or call.writes or call.name not in _MADE | _COMPUTED | {"new_zeros"}:
        raise ValueError(f"{node} is not known")
    if call.name == "new_zeros":
        return torch.zeros(example(node).shape, dtype=example(node).dtype)
    args, kwargs = fx.node.map_arg((node.args, node.kwargs), lambda one: _computed(one, depth + 1))
    kwargs = {name: value for name, value in kwargs.items() if name != "device"}
    if node.op == "call_method":
        return getattr(args[0], str(node.target))(*args[1:], **kwargs)
    return node.target(*args, **kwargs)  # type: ignore[operator]
