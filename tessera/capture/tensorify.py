"""Runs a recorded update with 0-d float64 tensors where it was recorded with symbolic Python numbers.

    mul = hyper_parameter * 2.0          ->   aten.mul(hyper_parameter_tensor, 2.0)
    aten.mul(gradient, symbol)           ->   aten.mul(gradient, symbol_tensor)
    aten.add(a, b, alpha=symbol)         ->   aten.add(a, aten.mul(b, symbol_tensor))

Python computes with doubles and casts the result where it meets a tensor; so does this. ``alpha`` and ``lerp`` are
written out, so their last bit may differ from eager's fused forms.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import torch
from torch import fx

from tessera.capture.step_down import CannotCapture

aten = torch.ops.aten


class Tensorify(fx.Interpreter):
    """Interprets a recorded update; see the file's first lines. Inputs and outputs are tensors only."""

    def run_node(self, node: fx.Node) -> Any:
        if node.op != "call_function":
            return super().run_node(node)
        args, _ = self.fetch_args_kwargs_from_env(node)
        if node.target is aten._local_scalar_dense.default:
            return args[0].to(torch.float64)  # a number read from a tensor stays a tensor
        if not any(_is_number(n) for n in node.all_input_nodes):
            return super().run_node(node)
        if _is_number(node):
            if node.target not in _NUMBER_ARITHMETIC:
                raise CannotCapture(f"a hyper-parameter is used in {node.target}, which has no tensor form")
            return _NUMBER_ARITHMETIC[node.target](*args)
        expected: torch.Tensor = node.meta["val"]
        # torch casts a Python number to the precision an operation computes in, and it never promotes a 0-d tensor.
        wide = torch.float64 if expected.dtype in (torch.float64, torch.complex128) else torch.float32
        numbers_cast = fx.node.map_arg((node.args, node.kwargs), lambda n: self._operand(n, wide))
        result = _TENSOR_ARITHMETIC[node.target](*numbers_cast[0], **numbers_cast[1])
        return result if result.dtype == expected.dtype else result.to(expected.dtype)

    def _operand(self, node: fx.Node, precision: torch.dtype) -> Any:
        value = self.env[node]
        return value.to(precision) if _is_number(node) else value


def fix_numbers(recorded: fx.GraphModule) -> None:
    """Make constants of the symbols that meet an operation no tensor can enter in their place.

    Each leaves a guard, so a change of that hyper-parameter captures anew. Symbols without a known value (read from a
    tensor) have no constant: ``CannotCapture``.
    """
    for node in recorded.graph.nodes:
        if node.op != "call_function" or _is_number(node):
            continue
        if node.target not in _TENSOR_ARITHMETIC and any(_is_number(n) for n in node.all_input_nodes):
            node.args, node.kwargs = fx.node.map_arg(
                (node.args, node.kwargs), lambda n: _constant(n) if _is_number(n) else n
            )
    recorded.graph.eliminate_dead_code()
    recorded.recompile()


def _constant(node: fx.Node) -> float:
    try:
        return float(node.meta["val"])
    except RuntimeError as error:
        raise CannotCapture(f"{node.target} takes a number that was read from a tensor") from error


def _is_number(node: fx.Node) -> bool:
    return isinstance(node.meta.get("val"), (torch.SymFloat, torch.SymInt))


def _double(x: Any) -> torch.Tensor:
    return x if isinstance(x, torch.Tensor) else torch.full((), float(x), dtype=torch.float64)


def _scaled(x: Any, alpha: Any) -> Any:
    return x if isinstance(alpha, (int, float)) and alpha == 1 else x * alpha


def _clamp(x: Any, low: Any, high: Any) -> Any:
    x = x if low is None else torch.maximum(x, _double(low).to(x.dtype))
    return x if high is None else torch.minimum(x, _double(high).to(x.dtype))


def _lerp(a: Any, b: Any, weight: Any) -> Any:
    # torch's own two-sided formula, chosen by the weight, keeps full accuracy at both ends.
    return torch.where(weight < 0.5, a + weight * (b - a), b - (b - a) * (1 - weight))


_NUMBER_ARITHMETIC: dict[Any, Callable[..., Any]] = {
    operator.add: lambda a, b: _double(a) + b,
    operator.sub: lambda a, b: _double(a) - b,
    operator.mul: lambda a, b: _double(a) * b,
    operator.truediv: lambda a, b: _double(a) / b,
    operator.neg: operator.neg,
    operator.pow: lambda a, b: torch.pow(_double(a), _double(b)),
    torch.sym_float: _double,
    torch.sym_max: lambda a, b: torch.maximum(_double(a), _double(b)),
    torch.sym_min: lambda a, b: torch.minimum(_double(a), _double(b)),
    torch.sym_sqrt: torch.sqrt,
}

_TENSOR_ARITHMETIC: dict[Any, Callable[..., Any]] = {
    aten.add.Tensor: lambda a, b, alpha=1: a + _scaled(b, alpha),
    aten.add.Scalar: lambda a, b, alpha=1: a + _scaled(b, alpha),
    aten.sub.Tensor: lambda a, b, alpha=1: a - _scaled(b, alpha),
    aten.sub.Scalar: lambda a, b, alpha=1: a - _scaled(b, alpha),
    aten.rsub.Scalar: lambda a, b, alpha=1: b - _scaled(a, alpha),
    aten.mul.Tensor: torch.mul,
    aten.mul.Scalar: torch.mul,
    aten.div.Tensor: torch.div,
    aten.div.Scalar: torch.div,
    aten.pow.Scalar: lambda base, exponent: torch.pow(_double(base), exponent),
    aten.pow.Tensor_Scalar: torch.pow,
    aten.clamp.default: lambda x, low=None, high=None: _clamp(x, low, high),
    aten.clamp_min.default: lambda x, low: torch.maximum(x, low.to(x.dtype)),
    aten.clamp_max.default: lambda x, high: torch.minimum(x, high.to(x.dtype)),
    aten.addcmul.default: lambda x, a, b, value=1: x + a * b * value,
    aten.addcdiv.default: lambda x, a, b, value=1: x + value * (a / b),
    aten.lerp.Scalar: _lerp,
    aten.full_like.default: lambda x, value, **kw: torch.zeros_like(x, **kw) + value,
    aten.full.default: lambda size, value, **kw: torch.zeros(size, **kw) + value,
    aten.scalar_tensor.default: lambda value, dtype=None, **_: _double(value).to(dtype or torch.get_default_dtype()),
}
