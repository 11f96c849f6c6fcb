"""Reads a captured graph as values, node after node; what is not understood is a leaf.

Reductions keep their dimensions and a ``squeeze`` behind them drops those, so that ``sum(x, -1).unsqueeze(-1)``,
``sum(x, -1, keepdim=True)`` and, where they meet, ``log(sum(x, -1))`` are made of the same sum. A tensor that is
written to stands for another value from then on. Where autograd or autocast changes, everything begins anew: what was
computed without gradients is a leaf to what has them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from torch import Tensor, fx

from tessera import torch_internals
from tessera.backend.stability.algebra import Algebra, Value, scaled
from tessera.backend.stability.aliases import Aliases
from tessera.backend.stability.meanings import MEANINGS, UNARY
from tessera.backend.stability.spelling import Call, Movement, call_of, example


class Reader:
    """The values of the nodes read so far."""

    def __init__(self, graph_module: fx.GraphModule) -> None:
        self.graph_module = graph_module
        self.algebra = Algebra()
        self.values: dict[fx.Node, Value] = {}
        self.delicate: set[fx.Node] = set()  # computed for its rounding errors
        self._aliases = Aliases(graph_module.graph)
        self._versions = 0
        self._held: dict[fx.Node, list[Value]] = {}
        self._movements: dict[Any, Movement] = {}

    def read(self, node: fx.Node) -> Value | None:
        """The value of ``node``; None where it has none, or writes to a tensor."""
        call = call_of(node)
        if changes_mode(node):
            self._begin_anew()
            return None
        if call is not None and call.writes and call.args:
            return self._write(node, call)
        found = None
        if call is not None and (meaning := MEANINGS.get(call.name)) is not None and _is_floating(node):
            self.algebra.cancelled = []
            found = meaning(self, call)
            if found is not None and self.algebra.cancelled:
                self._mark(node, self.algebra.cancelled)
            self.algebra.cancelled = None
        elif node.op == "get_attr":
            found = self._constant(node)
        self._hold(node, found if found is not None else self.algebra.leaf(node))
        return self.values[node]

    def improve(self, node: fx.Node, value: Value) -> None:
        """``node`` holds ``value``, and so it is better understood."""
        self._hold(node, value)

    def release(self, node: fx.Node) -> None:
        """``node`` is taken out of the graph: whatever it held has to be computed anew."""
        self.values.pop(node, None)
        for value in self._held.pop(node, []):
            if value.node is node:
                value.node = None

    def _hold(self, node: fx.Node, value: Value) -> None:
        self.values[node] = value
        self._held.setdefault(node, []).append(value)
        if value.node is None:
            value.node = node
        if value.shape is None and isinstance(tensor := example(node), Tensor):
            value.shape = tensor.shape

    # -- what is written to ------------------------------------------------------------------------------------

    def _write(self, node: fx.Node, call: Call) -> Value | None:
        target = call.args[0] if call.kwargs.get("out") is None else call.kwargs["out"]
        if not isinstance(target, fx.Node):
            return None
        meaning = MEANINGS.get(call.name)
        self.algebra.cancelled = []
        known = meaning is not None and _is_floating(target) and call.kwargs.get("out") is None
        value = meaning(self, call) if known and meaning is not None else None
        cancelled, self.algebra.cancelled = self.algebra.cancelled, None
        same, views = self._aliases.of(target)
        for one in (*same, *views):
            self._forget(one)
        if value is None or views or any(one.op == "placeholder" for one in same):
            value = None
        self._versions += 1
        members = {*same, *views, node, target} & ({*self.values, node})
        for one in members:
            if value is None or one in views:
                self.values[one] = self.algebra.leaf(one, self._versions)
                self.values[one].node = one
            else:
                self._hold(one, value)
        if cancelled:
            self._mark(node, cancelled)
            self.delicate |= members
        return value

    def owned(self, node: fx.Node) -> list[fx.Node] | None:
        """All names of the memory that ``node`` writes to; None where others see it too."""
        same, views = self._aliases.of(node)
        return None if views or any(one.op == "placeholder" for one in same) else same

    def is_written_later(self, node: fx.Node) -> bool:
        return self._aliases.is_written(node)

    def _forget(self, node: fx.Node) -> None:
        value = self.values.get(node)
        if value is not None and value.node is node:
            value.node = None

    def _begin_anew(self) -> None:
        self._versions += 1
        known, self.values = self.values, {}
        for value in known.values():
            value.node = None
        self.algebra = Algebra()

    def _mark(self, node: fx.Node, cancelled: Iterable[Value]) -> None:
        """``node`` is a rounding error, and so what cancelled in it was computed for that."""
        self.delicate.add(node)
        operands = {value.node for value in cancelled} | set(node.all_input_nodes)
        self.delicate |= {n for n in operands if n is not None and self.values[n].op != "leaf"}

    # -- operands ----------------------------------------------------------------------------------------------

    def operand(self, argument: Any) -> Value | None:
        if isinstance(argument, bool):
            return None
        if isinstance(argument, int | float):
            return self.algebra.number(argument)
        if not isinstance(argument, fx.Node):
            return None
        if argument not in self.values:
            leaf = self.algebra.leaf(argument, self._versions)
            self._hold(argument, leaf)
        return self.values[argument]

    def _constant(self, node: fx.Node) -> Value | None:
        tensor = getattr(self.graph_module, str(node.target), None)
        if type(tensor) is not Tensor or not str(node.target).startswith("_tensor_constant"):
            return None
        if tensor.dim() == 0 and tensor.is_floating_point() and not torch_internals.is_fake(tensor):
            return self.algebra.number(tensor.item())
        return None

    def rank(self, value: Value) -> int:
        if value.shape is not None:
            return len(value.shape)
        if value.op == "squeeze":
            return self.rank(value.args[0]) - len(value.args[1])
        return max(map(self.rank, value.parts()), default=0)

    def aligned(self, operands: Sequence[Value]) -> tuple[list[Value], tuple[int, ...] | None]:
        """Operands of an elementwise operation without their ``squeeze``, and the dimensions to squeeze behind it."""
        tensors = [one for one in operands if one.number is None and self.rank(one)]
        squeezed = [one for one in operands if one.op == "squeeze"]
        if not squeezed:
            return list(operands), None
        dims, rank = squeezed[0].args[1], self.rank(squeezed[0].args[0])
        if all(one in squeezed for one in tensors) and all(
            one.args[1] == dims and self.rank(one.args[0]) == rank for one in squeezed
        ):
            return [one.args[0] if one in squeezed else one for one in operands], dims
        found, largest = [], max(self.rank(one) for one in operands)
        for one in operands:
            inner = self.rank(one.args[0]) if one in squeezed else 0
            spreads = one in squeezed and (one.args[1] == tuple(range(len(one.args[1]))) and inner <= largest)
            found.append(one.args[0] if spreads else one)
        return found, None

    def elementwise(self, build: Callable[..., Value | None], *arguments: Any) -> Value | None:
        operands = [self.operand(argument) for argument in arguments]
        if None in operands:
            return None
        values, dims = self.aligned(operands)  # type: ignore[arg-type]
        found = build(*values)
        if found is None or dims is None:
            return found
        if found.shape is None:
            found.shape = _common_shape([value for value in values if value.number is None])
        return self.algebra.make("squeeze", found, dims)

    def reduced(self, op: str, argument: Any, dim: Any, keepdim: Any) -> Value | None:
        value, tensor = self.operand(argument), example(argument)
        if value is None or not isinstance(tensor, Tensor):
            return None
        rank = tensor.dim()
        wanted = range(rank) if dim is None or dim == () else dim if isinstance(dim, list | tuple) else [dim]
        if not all(isinstance(d, int) for d in wanted) or rank == 0:
            return None
        dims = tuple(sorted({d % rank for d in wanted}))
        gone: tuple[int, ...] = ()
        if value.op == "squeeze":
            gone = value.args[1]
            kept = [d for d in range(rank + len(gone)) if d not in gone]
            dims, value = tuple(kept[d] for d in dims), value.args[0]
        inner_shape = value.shape if value.shape is not None else None
        factor, value = scaled(value) if op in ("sum", "mean", "cumsum") else (1.0, value)
        found = self.algebra.make(op, value, dims)
        if found.shape is None and (inner_shape is not None or not gone):
            shape = inner_shape if inner_shape is not None else tensor.shape
            found.shape = tuple(1 if d in dims else size for d, size in enumerate(shape))
        found = self.algebra.scale(found, factor)
        dropped = gone if keepdim is True else tuple(sorted({*gone, *dims}))
        return self.algebra.make("squeeze", found, dropped) if dropped else found

    def moved(self, node: fx.Node, argument: Any) -> Value | None:
        """The elements of ``argument``, shown otherwise."""
        value, tensor = self.operand(argument), example(node)
        if value is None or not isinstance(tensor, Tensor):
            return None
        whole = value.args[0].shape if value.op == "squeeze" else None
        if whole is not None and torch_internals.same_shape(tensor.shape, whole):
            return value.args[0]
        if value.number is not None:
            return value
        extra = [n for n in node.all_input_nodes if n is not argument]
        if any(self.is_written_later(n) for n in extra):
            return None
        key = (node.target, str(node.args[1:]), str(node.kwargs))
        movement = self._movements.setdefault(key, Movement(node))
        return self._move(value, movement, tensor.shape)

    def _move(self, value: Value, movement: Movement, shape: Any) -> Value:
        algebra = self.algebra
        if value.op in UNARY and self.rank(value.args[0]) == self.rank(value):
            found = algebra.make(value.op, self._move(value.args[0], movement, shape))
        elif value.op == "linear" and len(value.args[1]) == 1:
            constant, ((term, factor),) = value.args
            found = algebra.linear(constant, {self._move(term, movement, shape): factor})
        elif value.op == "product" and all(_has_shape_of(base, value) for base in value.parts()):
            found = algebra.product(1.0, {self._move(base, movement, shape): e for base, e in value.args[0]})
        else:
            found = algebra.make("move", value, movement)
        if found.shape is None:
            found.shape = shape
        return found


def _has_shape_of(part: Value, value: Value) -> bool:
    return part.shape is not None and value.shape is not None and torch_internals.same_shape(part.shape, value.shape)


def _common_shape(values: Sequence[Value]) -> Sequence[Any] | None:
    """The shape that all values have."""
    shapes = [value.shape for value in values]
    first = shapes[0]
    same = first is not None and all(s is not None and torch_internals.same_shape(s, first) for s in shapes)
    return first if same else None


def changes_mode(node: fx.Node) -> bool:
    """Whether gradients or autocast are switched on or off there."""
    name = getattr(node.target, "__name__", "") if node.op == "call_function" else ""
    return name.startswith(("_enter_", "_exit_", "_set_grad", "set_grad", "inference_mode"))


def _is_floating(node: fx.Node) -> bool:
    value = example(node)
    return isinstance(value, Tensor) and value.is_floating_point()
