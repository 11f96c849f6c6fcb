"""Writes values back into a captured graph, as PyTorch functions of what the graph still holds."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import fx
from torch.nn import functional

from tessera import torch_internals
from tessera.backend.stability import forms, products, series, tails
from tessera.backend.stability.algebra import Value, scaled
from tessera.backend.stability.spelling import Movement, call_of, example

DEEPEST = 6
_PRODUCTS = ("matmul", "mm", "bmm", "baddbmm", "einsum")
_SHOWN = (
    "dropout",
    "to",
    "float",
    "half",
    "type_as",
    "where",
    "masked_fill",
    "nan_to_num",
    "transpose",
    "view",
    "reshape",
)


class CannotWrite(Exception):
    """What a value is made of is not there any more, or it would have another shape."""


class Writer:
    """Writes before one node of a graph; ``improve`` finds a stable form of what has to be computed anew, or None."""

    def __init__(
        self,
        graph: fx.Graph,
        before: fx.Node,
        improve: Callable[[Value], Value | None],
        *,
        like: fx.Node | None = None,  # whose line it is; `before` unless given
    ) -> None:
        self.graph, self._before, self._improve = graph, before, improve
        self.tracer = fx.proxy.GraphAppendingTracer(graph)
        self._last, self.like = before.prev, like or before
        self._fake_mode = torch_internals.own_fake_mode(example(self.like))
        self.read: set[fx.Node] = set()  # what the graph held already
        self._written: dict[Value, Any] = {}

    def replacement(self, value: Value) -> fx.Node:
        """A node for ``value`` that can stand in for the node it is written before.

        Raises:
            CannotWrite: there is none; nothing was written.
        """
        try:
            with self.graph.inserting_before(self._before):
                made = self.value(value)
                self._evaluate()
                made = self._like_before(made)
        except Exception as error:  # fake tensors refuse what the value would be
            self.undo()
            raise CannotWrite(str(error)) from error
        return made.node

    def _like_before(self, made: fx.Proxy) -> fx.Proxy:
        there, wanted = example(made.node), example(self._before)
        if not torch_internals.same_shape(there.shape, wanted.shape):
            raise CannotWrite(f"its shape is {tuple(there.shape)} instead of {tuple(wanted.shape)}")
        if there.dtype is not wanted.dtype:
            made = made.to(wanted.dtype)
            self._evaluate()
        return made

    def call(self, function: Callable[..., Any], *args: Any) -> fx.Node:
        """A call of ``function``."""
        with self.graph.inserting_before(self._before):
            made = self.graph.call_function(function, args)
        self._evaluate()
        return made

    def again(self, node: fx.Node, args: tuple[Any, ...], kwargs: dict[str, Any] | None = None) -> fx.Node:
        """What ``node`` calls, with other arguments."""
        with self.graph.inserting_before(self._before):
            made = self.graph.create_node(node.op, node.target, args, dict(node.kwargs) if kwargs is None else kwargs)
        self._evaluate()
        return made

    def cast(self, node: fx.Node, dtype: torch.dtype) -> fx.Node:
        """``node`` in another dtype."""
        with self.graph.inserting_before(self._before):
            made = self.graph.call_method("to", (node, dtype))
        self._evaluate()
        return made

    def new_nodes(self) -> list[fx.Node]:
        found, node = [], self._last.next
        while node is not self._before:
            found.append(node)
            node = node.next
        return found

    def undo(self) -> None:
        for node in reversed(self.new_nodes()):
            self.graph.erase_node(node)

    def _evaluate(self) -> None:
        """Give what was written its fake results and the user's line."""
        for node in self.new_nodes():
            if "example_value" in node.meta:
                continue
            args, kwargs = fx.node.map_arg((node.args, node.kwargs), example)
            with self._fake_mode:
                if node.op == "call_method":
                    result = getattr(args[0], str(node.target))(*args[1:], **kwargs)
                else:
                    result = node.target(*args, **kwargs)  # type: ignore[operator]
            kept = {k: v for k, v in self.like.meta.items() if k not in ("example_value", "unbacked_bindings")}
            node.meta = kept | {"example_value": result}

    def value(self, value: Any) -> Any:
        """``value`` as a proxy; what is no value is itself. Equal ones are one node, where their gradients meet."""
        if not isinstance(value, Value):
            return value
        if value not in self._written:
            self._written[value] = self._computed(value)
        return self._written[value]

    def _computed(self, value: Value) -> Any:
        if value.node is not None:
            self.read.add(value.node)
            return fx.Proxy(value.node, self.tracer)
        if (better := self._improve(value)) is not None:
            return self.value(better)
        if (writing := _WRITINGS.get(value.op)) is not None:
            return writing(self, value)
        if value.op not in _FORMS:
            raise CannotWrite(f"{value.op} is not there any more")
        args = [self.value(arg) for arg in value.args]
        if value.op in _WITHOUT_GRADIENT and not self._is_trained(args[0]):
            return _WITHOUT_GRADIENT[value.op](*args)
        return _FORMS[value.op](*args)

    def dtype(self, made: fx.Proxy) -> torch.dtype:
        """Of what was written."""
        self._evaluate()
        found: torch.dtype = example(made.node).dtype
        return found

    def _is_trained(self, made: fx.Proxy) -> bool:
        self._evaluate()
        return bool(example(made.node).requires_grad)


def _linear(writer: Writer, value: Value) -> Any:
    constant, terms = value.args
    total: Any = None
    for term, coefficient in sorted(terms, key=lambda item: item[1] < 0):
        each = writer.value(term)
        if total is None:
            if coefficient == -1 and constant:
                total, constant = constant - each, 0.0
            else:
                total = each if coefficient == 1 else -each if coefficient == -1 else each * coefficient
        elif abs(coefficient) == 1:
            total = total + each if coefficient > 0 else total - each
        else:
            total = total + each * coefficient if coefficient > 0 else total - each * -coefficient
    return total + constant if constant else total


def _product(writer: Writer, value: Value) -> Any:
    above = [_power(writer.value(base), e) for base, e in value.args[0] if e > 0]
    below = [_power(writer.value(base), -e) for base, e in value.args[0] if e < 0]
    if not above:
        return torch.reciprocal(_multiplied(below))
    return _multiplied(above) / _multiplied(below) if below else _multiplied(above)


def _power(base: Any, exponent: float) -> Any:
    if exponent == 1:
        return base
    if exponent == 2:
        return base * base
    return torch.sqrt(base) if exponent == 0.5 else torch.pow(base, exponent)


def _multiplied(values: list[Any]) -> Any:
    product = values[0]
    for value in values[1:]:
        product = product * value
    return product


def _moved(writer: Writer, value: Value) -> Any:
    source, movement = value.args
    return _again(writer, movement, writer.value(source))


def _again(writer: Writer, movement: Movement, source: Any) -> Any:
    """What a movement shows, of other elements."""
    node, graph = movement.node, writer.graph
    extra = [n for n in node.all_input_nodes if n is not node.args[0]]
    writer.read.update(extra)
    args = (source.node, *node.args[1:])
    made = (
        graph.call_method(str(node.target), args, dict(node.kwargs))
        if node.op == "call_method"
        else graph.call_function(node.target, args, dict(node.kwargs))  # type: ignore[arg-type]
    )
    return fx.Proxy(made, writer.tracer)


def _softmax(writer: Writer, value: Value) -> Any:
    """Of numbers with a factor, which is multiplied with what is left after the largest is taken away.

    ``x / 0.07`` is rounded at its own size, and so would the differences be that the result is made of.
    """
    exponent, dims = value.args
    factor, base = scaled(exponent)
    form = _FORMS[value.op]
    if value.op == "softmax" and len(dims) == 1 and not _feeds_product(writer.like):
        form = _in_float32(writer, forms.sharp_softmax)  # torch's log_softmax is what users and other passes know
    if math.frexp(factor)[0] == 0.5 or factor <= 0:
        return form(writer.value(exponent), dims)
    return form(forms.below_largest(writer.value(base), dims) * factor, dims)


def _in_float32(writer: Writer, form: Callable[..., Any]) -> Callable[..., Any]:
    """``form``, of what is in lower precision computed in float32."""

    def found(x: Any, dims: tuple[int, ...]) -> Any:
        dtype = writer.dtype(x)
        return form(x.float(), dims).to(dtype) if dtype in (torch.float16, torch.bfloat16) else form(x, dims)

    return found


def _feeds_product(node: fx.Node, depth: int = 0) -> bool:
    """Whether it becomes the weights of attention, which has a kernel of its own for torch's softmax."""
    return depth < DEEPEST and any(
        (call := call_of(user)) is not None
        and (call.name in _PRODUCTS or (call.name in _SHOWN and _feeds_product(user, depth + 1)))
        for user in node.users
    )


_WRITINGS: dict[str, Callable[[Writer, Value], Any]] = {
    "linear": _linear,
    "product": _product,
    "softmax": _softmax,
    "log_softmax": _softmax,
    "move": _moved,
    "expand": _moved,
    "number": lambda _, value: value.args[0],
    "squeeze": lambda writer, value: torch.squeeze(writer.value(value.args[0]), value.args[1]),
}
_FORMS: dict[str, Callable[..., Any]] = {
    name: getattr(torch, name) for name in ("exp", "log", "sin", "cos", "sinh", "cosh", "abs", "log1p", "where", "det")
} | {
    "erf": torch.erf,
    "erfc": torch.erfc,
    "relu": torch.relu,
    "power": torch.pow,
    "i0": torch.special.i0,
    "log_sigmoid": functional.logsigmoid,
    "cast": lambda x, dtype: x.to(dtype),
    "detach": lambda x: x.detach(),
    "sum": lambda x, dims: torch.sum(x, dims, keepdim=True),
    "mean": lambda x, dims: torch.mean(x, dims, keepdim=True),
    "amax": lambda x, dims: torch.amax(x, dims, keepdim=True),
    "cumsum": torch.cumsum,
    **{
        name: form
        for module in (forms, products, series, tails)
        for name, form in vars(module).items()
        if not name.startswith("_") and getattr(form, "__module__", None) == module.__name__
    },
}
_WITHOUT_GRADIENT = {"sigmoid": torch.sigmoid, "tanh": torch.tanh, "expm1": torch.expm1}
