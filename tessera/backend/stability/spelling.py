"""What a node of a captured graph calls, whichever of torch's spellings was used: function, method, operator, in place.

torch.exp(x), x.exp(), x.exp_(), torch.exp_(x)         exp
x - y, torch.sub, torch.subtract, x.__sub__, x -= y    sub
torch.special.expit, torch.sigmoid, F.sigmoid          sigmoid
"""

from __future__ import annotations

import builtins
import functools
import operator
from dataclasses import dataclass
from typing import Any

import torch
from torch import fx
from torch.nn import functional

_SAME = {
    "subtract": "sub",
    "multiply": "mul",
    "divide": "div",
    "true_divide": "div",
    "truediv": "div",
    "negative": "neg",
    "absolute": "abs",
    "expit": "sigmoid",
    "float_power": "pow",
    "matmul": "matmul",
    "clip": "clamp",
    "arctanh": "atanh",
    "special_expit": "sigmoid",
    "special_erf": "erf",
    "special_erfc": "erfc",
    "swapaxes": "transpose",
    "swapdims": "transpose",
    "moveaxis": "movedim",
    "linalg_det": "det",
    "linalg_vector_norm": "vector_norm",
    "linalg_norm": "linalg_norm",
    "greater": "gt",
    "less": "lt",
}
_REVERSED = {"rsub", "__radd__", "__rsub__", "__rmul__", "__rtruediv__", "__rpow__", "__rdiv__"}


@dataclass(frozen=True)
class Call:
    """A call: its name among ``torch``'s functions, its arguments, and whether the first of them is written to."""

    node: fx.Node
    name: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    writes: bool

    def get(self, at: int, name: str, default: Any = None) -> Any:
        """An argument, by its place or its name."""
        if len(self.args) > at:
            return self.args[at]
        other = {"dim": "axis", "keepdim": "keepdims"}.get(name, name)
        return self.kwargs.get(name, self.kwargs.get(other, default))


@dataclass(frozen=True, eq=False)
class Movement:
    """How a node shows the elements of its first operand: to be repeated on another."""

    node: fx.Node


def example(node: Any) -> Any:
    """What Dynamo knows of a node's value: a fake tensor, or a symbol."""
    return node.meta.get("example_value") if isinstance(node, fx.Node) else None


def call_of(node: fx.Node) -> Call | None:
    """What ``node`` calls; None where it is no call of torch's or Python's own."""
    if node.op == "call_method":
        name = str(node.target)
    elif node.op == "call_function":
        try:
            name = _functions().get(node.target, "")
        except TypeError:  # not hashable
            return None
    else:
        return None
    if not name:
        return None
    args, kwargs = tuple(node.args), dict(node.kwargs)
    if not args and "input" in kwargs:
        args = (kwargs.pop("input"),)
    writes = _is_written(name) or kwargs.pop("inplace", False) is True or kwargs.get("out") is not None
    if name in _REVERSED and len(args) == 2:
        args = args[::-1]
        name = "sub" if name == "rsub" else name.replace("__r", "__")
    name = name.removeprefix("__i").removeprefix("__").removesuffix("__") if name.startswith("__") else name
    name = _OPERATORS.get(name, name) if writes else name
    name = name.rstrip("_") or name
    return Call(node, _SAME.get(name, name), args, kwargs, writes)


def _is_written(name: str) -> bool:
    if name.startswith("__"):
        return name.startswith("__i") and name not in ("__invert__", "__index__")
    return name.endswith("_") or name in _OPERATORS or name == "setitem"


_OPERATORS = {"iadd": "add", "isub": "sub", "imul": "mul", "itruediv": "div", "ipow": "pow", "imatmul": "matmul"} | {
    name: name for name in ("ifloordiv", "imod", "iand", "ior", "ixor", "ilshift", "irshift")
}


@functools.cache
def _functions() -> dict[Any, str]:
    """Functions and what they are called; by identity, so that nobody else's ``exp`` is meant."""
    found: dict[Any, str] = {builtins.getattr: "getattr"}
    for module, prefix in (
        (functional, ""),
        (torch.linalg, "linalg_"),
        (torch.special, "special_"),
        (torch.Tensor, ""),
        (torch, ""),
        (operator, ""),
    ):
        for name in dir(module):
            function = getattr(module, name, None)
            if callable(function) and not isinstance(function, type):
                try:
                    found[function] = prefix + name if module is not operator else name.strip("_")
                except TypeError:
                    continue
    return {function: _PLAIN.get(name, name) for function, name in found.items()}


_PLAIN = {
    f"special_{name}": name
    for name in (
        *(
            "exp2",
            "expm1",
            "log1p",
            "softmax",
            "log_softmax",
            "logsumexp",
            "logit",
            "xlogy",
            "xlog1py",
            "entr",
            "sinc",
            "ndtr",
            "i0",
        ),
    )
}
