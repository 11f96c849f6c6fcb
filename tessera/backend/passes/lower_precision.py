"""Products are computed in the low precision that the Program asks for, and all else in float32 as before.

    before   h = addmm(b, x, w);              y = gelu(h);  z = mm(y, v)
    after    h = float(mm(low(x), low(w))) + b;  y = gelu(h);  z = float(mm(low(y), low(v)))

Sums, norms, softmax, losses and updates see float32; a cast belongs to the kernel beside it and costs nothing there.
Every value is cast once: a weight before its first use, an activation where it is made, and what the backward keeps of
it is the low copy. What moves values and computes none (views, cat, max-pooling) stays low between two products.
``precision_choice.py`` says which products, ``precision_verdict.py`` whether the step bears it. Promise: close.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import fx

from tessera import torch_internals
from tessera.backend.precision_choice import OPERANDS, Choice, choose
from tessera.backend.precision_verdict import compare
from tessera.backend.rewrite import Pass
from tessera.program import Phase, Program, copy_graph

aten = torch.ops.aten
CAST = torch.ops.prims.convert_element_type.default


def lower_precision(program: Program) -> int:
    """Lower every product that ``program.precision`` asks for and that bears it; returns how many."""
    if not program.precision.changes_something:
        return 0
    choice = choose(program)
    verdict = settle(program, choice) if program.examples else []
    notes = [*choice.notes(), *verdict]
    Lowering(program, choice.lowered).run()
    program.notes += notes
    return len(choice.lowered)


def settle(program: Program, choice: Choice) -> list[str]:
    """Lift back what the first batch does not bear, of what was chosen automatically; returns what to say of it."""
    for _ in range(_ROUNDS):
        if not choice.automatic:
            break
        trial = replace(program, graph_module=copy_graph(program.graph_module))
        copies = dict(zip(program.graph.nodes, trial.graph.nodes, strict=True))
        lowering = Lowering(trial, {copies[node]: dtype for node, dtype in choice.lowered.items()})
        lowering.run()
        held = {node: lowering.value_of(copy) for node, copy in copies.items()}
        verdict = compare(program, trial, held.get)
        if verdict.holds:
            return [f"  first batch beside fp32: {verdict}"]
        choice.lift(_blamed(verdict.first_off, choice), f"lifted back, for on the first batch: {verdict}")
    choice.lift(choice.automatic, "lifted back, for the first batch does not bear it")
    return []


def _blamed(first_off: fx.Node | None, choice: Choice) -> list[fx.Node]:
    """The product that is off, or those that went into what is off; all where none can be told."""
    waiting, seen, found = [first_off] if first_off else [], set(), []
    while waiting:
        node = waiting.pop()
        if node in seen:
            continue
        seen.add(node)
        if node in choice.automatic:
            found.append(node)
        else:
            waiting += node.all_input_nodes
    return found or list(choice.automatic)


class Lowering:
    """Rewrites a graph in place so that ``products`` take operands of the given dtypes."""

    def __init__(self, program: Program, products: Mapping[fx.Node, torch.dtype]) -> None:
        self._graph, self._products = program.graph, products
        values = [node.meta["val"] for node in program.placeholders]
        self._fake_mode = torch_internals.fake_mode_of(values)
        self._low: dict[tuple[fx.Node, torch.dtype], fx.Node] = {}  # a float32 value -> its low copy
        self._exact: dict[fx.Node, fx.Node] = {}  # a float32 value that is a low one cast up -> the low one
        self._replaced: dict[fx.Node, fx.Node] = {}
        self._left: set[fx.Node] = set()

    def run(self) -> None:
        if not self._products:
            return
        for node in list(self._graph.nodes):
            if node in self._products:
                self._lower(node, self._products[node])
            elif node.op == "call_function":
                self._follow(node)
        self._read_low_copies()
        self._cast_where_updated()
        self._graph.eliminate_dead_code()
        self._left = set(self._graph.nodes)

    def value_of(self, node: fx.Node) -> fx.Node | None:
        """What holds the value of a node of the graph as it was, if anything does."""
        node = self._replaced.get(node, node)
        node = self._exact.get(node, node)
        return node if node in self._left else None

    def _lower(self, node: fx.Node, dtype: torch.dtype) -> None:
        args = list(node.args)
        for i in OPERANDS[node.target]:
            args[i] = self._lowered(node.args[i], dtype, node)  # type: ignore[arg-type]
        if node.target in _PRODUCT_OF_SUM:
            scaled = self._up(self._call(node, _PRODUCT_OF_SUM[node.target], *args[1:3]), node)
            self._replace(node, self._added(node, scaled, node.args[0]))
        elif node.target is aten.convolution.default:
            bias, args[2] = args[2], None
            result = self._up(self._call(node, node.target, *args), node)
            if bias is not None:
                shaped = self._call(node, aten.view.default, bias, [-1, *[1] * (node.meta["val"].dim() - 2)])
                result = self._call(node, aten.add.Tensor, result, shaped)
            self._replace(node, result)
        else:
            low = self._call(node, node.target, *args, **node.kwargs)
            if isinstance(low.meta["val"], torch.Tensor):
                self._replace(node, self._up(low, node))
                return
            for item in list(node.users):  # getitem, of several results
                part = self._call(item, item.target, low, item.args[1])
                is_low = isinstance(part.meta["val"], torch.Tensor) and part.meta["val"].dtype is dtype
                self._replace(item, self._up(part, item) if is_low else part)
            self._graph.erase_node(node)

    def _added(self, node: fx.Node, product: fx.Node, bias: Any) -> fx.Node:
        """``beta * bias + alpha * product``."""
        alpha, beta = node.kwargs.get("alpha", 1), node.kwargs.get("beta", 1)
        if alpha != 1:
            product = self._call(node, aten.mul.Tensor, product, alpha)
        if beta == 0:
            return product
        if beta != 1:
            bias = self._call(node, aten.mul.Tensor, bias, beta)
        return self._call(node, aten.add.Tensor, product, bias)

    def _follow(self, node: fx.Node) -> None:
        """What only moves values that are low already moves them as they are."""
        tensors = [n for n in node.all_input_nodes if _is_float32(n)]
        if not tensors or not _moves(node) or any(n not in self._exact for n in tensors):
            return
        low = {n: self._exact[n] for n in tensors}
        if len({n.meta["val"].dtype for n in low.values()}) > 1:
            return
        args, kwargs = fx.node.map_arg((node.args, node.kwargs), lambda n: low.get(n, n))
        moved = self._call(node, node.target, *args, **kwargs)
        if isinstance(moved.meta["val"], torch.Tensor):
            self._replace(node, self._up(moved, node))
            return
        for item in list(node.users):
            part = self._call(item, item.target, moved, item.args[1])
            self._replace(item, self._up(part, item) if part.meta["val"].dtype.is_floating_point else part)
        self._graph.erase_node(node)

    def _lowered(self, node: fx.Node, dtype: torch.dtype, user: fx.Node) -> fx.Node:
        """The low copy of a float32 value, made before ``user`` if there is none yet."""
        exact = self._exact.get(node)
        if exact is not None and exact.meta["val"].dtype is dtype:
            return exact
        if (node, dtype) not in self._low:
            source = node.all_input_nodes
            if _is_plain_view(node) and len(source) == 1 and _is_float32(source[0]):
                moved = self._lowered(source[0], dtype, user)  # so that a weight and its transpose are cast once
                args, kwargs = fx.node.map_arg((node.args, node.kwargs), lambda n: moved if n is source[0] else n)
                self._low[node, dtype] = self._call(user, node.target, *args, **kwargs)
            else:
                place = user if node.op == "placeholder" else node.next
                self._low[node, dtype] = self._call_before(place, node, CAST, (node, dtype), {})
        return self._low[node, dtype]

    def _up(self, low: fx.Node, origin: fx.Node) -> fx.Node:
        up = self._call(origin, CAST, low, torch.float32)
        self._exact[up] = low
        return up

    def _read_low_copies(self) -> None:
        """The backward reads the low copy of what the forward made: the float32 value need not be kept for it."""
        for (node, _), low in list(self._low.items()):
            if node.op == "placeholder" or low.target is not CAST:
                continue
            readers = [user for user in node.users if user is not low and _reads_later(user, node)]
            if readers:
                up = self._call_before(low.next, node, CAST, (low, torch.float32), {})
                for reader in readers:
                    reader.replace_input_with(node, up)

    def _cast_where_updated(self) -> None:
        """Clipping and update each cast the gradients they read, so that the cast is part of their kernels."""
        for up, low in self._exact.items():
            readers = [user for user in up.users if user.meta.get("phase") in _AFTER_BACKWARD]
            for reader in readers:
                own = self._call(reader, CAST, low, torch.float32)
                reader.replace_input_with(up, own)

    def _call(self, origin: fx.Node, target: Any, *args: Any, **kwargs: Any) -> fx.Node:
        """A call in the place and with the provenance of ``origin``."""
        return self._call_before(origin, origin, target, args, kwargs)

    def _call_before(self, place: fx.Node, origin: fx.Node, target: Any, args: Any, kwargs: Any) -> fx.Node:
        with self._graph.inserting_before(place):
            node = self._graph.call_function(target, args, kwargs)
        node.meta = {k: v for k, v in origin.meta.items() if k != "val"}
        with self._fake_mode:
            values = fx.node.map_arg((args, kwargs), lambda n: n.meta["val"])
            node.meta["val"] = target(*values[0], **values[1])
        return node

    def _replace(self, old: fx.Node, new: fx.Node) -> None:
        self._replaced[old] = new
        old.replace_all_uses_with(new)
        self._graph.erase_node(old)


_ROUNDS = 6  # of lifting one thing after another
_PRODUCT_OF_SUM = {aten.addmm.default: aten.mm.default, aten.baddbmm.default: aten.bmm.default}
_READS_MEMORY = (aten.view.dtype, aten.as_strided.default, aten.view_as_real.default, aten.view_as_complex.default)
_AFTER_BACKWARD = (Phase.CLIP, Phase.UPDATE, Phase.CHECK)
_MOVING = (
    aten.clone.default,
    aten.cat.default,
    aten.index.Tensor,
    aten.index_select.default,
    aten.gather.default,
    aten.flip.default,
    aten.roll.default,
    aten.repeat.default,
    aten._unsafe_view.default,
    aten.relu.default,
    aten.max_pool2d_with_indices.default,
)


def _moves(node: fx.Node) -> bool:
    """Whether every value of the result is one of the operand's."""
    if node.target is aten.constant_pad_nd.default:
        return len(node.args) < 3 or bool(node.args[2] == 0)
    return node.target in _MOVING or _is_plain_view(node)


def _is_plain_view(node: fx.Node) -> bool:
    """Whether ``node`` shows values of its argument in another shape, whatever their dtype and strides are."""
    return torch_internals.is_view(node.target) and node.target not in _READS_MEMORY


def _is_float32(node: fx.Node) -> bool:
    value = node.meta.get("val")
    return isinstance(value, torch.Tensor) and value.dtype is torch.float32


def _reads_later(user: fx.Node, node: fx.Node) -> bool:
    """Whether ``user`` is of the backward and reads a value of the forward, or adds up the rows of a gradient."""
    if user.op != "call_function" or user.meta.get("phase") != Phase.BACKWARD:
        return False
    return node.meta.get("phase") == Phase.FORWARD or user.target is aten.sum.dim_IntList


LOWER_PRECISION = Pass(
    "lower_precision", "close", lower_precision, "a precision other than fp32, and products that take it"
)
