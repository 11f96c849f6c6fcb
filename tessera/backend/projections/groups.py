"""Finds matrix products that can be one.

    left    x @ a, x @ b          one operand, first           x @ [a | b]
    right   a @ x, b @ x          one operand, second          [a ; b] @ x
    sum     x @ a + y @ b         results that are added       [x | y] @ [a ; b]

Those of one group belong to one block of the model, so that blocks that repeat stay alike.
"""

from __future__ import annotations

import operator
import re
from collections import defaultdict
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import fx

from tessera import torch_internals
from tessera.program import layer_path

aten = torch.ops.aten
Kind = Literal["left", "right", "sum"]

CAST = torch.ops.prims.convert_element_type.default
_READS_MEMORY = (aten.view.dtype, aten.as_strided.default, aten.view_as_real.default, aten.view_as_complex.default)


@dataclass(frozen=True)
class Group:
    """Products that can be one, in the order of the layers that they come from.

    Attributes:
        summands: of a sum, what each product becomes before it is added.
        total: the sum.
    """

    kind: Kind
    products: tuple[fx.Node, ...]
    summands: tuple[fx.Node, ...] = ()
    total: fx.Node | None = None


def operands(product: fx.Node) -> tuple[fx.Node, fx.Node]:
    """The matrices that are multiplied."""
    left, right = product.args[-2:]
    return left, right  # type: ignore[return-value]


def find_groups(graph: fx.Graph, kind: Kind) -> list[Group]:
    """All groups of a kind; no product is in two of them."""
    return list(_sums(graph) if kind == "sum" else _sharing(graph, kind))


def _sharing(graph: fx.Graph, kind: Kind) -> Iterator[Group]:
    shared = 0 if kind == "left" else 1
    alike: dict[Hashable, list[fx.Node]] = defaultdict(list)
    for node in graph.nodes:
        if _is_product(node) and (kind == "left" or node.target is aten.mm.default):
            alike[operands(node)[shared], *_place(node)].append(node)
    for products in alike.values():
        able = [node for node in products if _can_be_a_part(node, kind)] if len(products) > 1 else []
        for together in _independent(able):
            yield Group(kind, tuple(sorted(together, key=_layer_order)))


def _sums(graph: fx.Graph) -> Iterator[Group]:
    for total in graph.find_nodes(op="call_function", target=aten.add.Tensor):
        if not _is_sum(total) or (len(total.users) == 1 and _is_sum(next(iter(total.users)), total)):
            continue
        alike: dict[Hashable, list[tuple[fx.Node, fx.Node]]] = defaultdict(list)
        for summand in summands_of(total):
            if found := _product_behind(summand):
                product, way = found
                alike[way, str(product.meta["val"].shape), *_place(product)].append((product, summand))
        for pairs in alike.values():
            if len(pairs) > 1:
                pairs.sort(key=lambda pair: _layer_order(pair[0]))
                products, summands = zip(*pairs, strict=True)
                yield Group("sum", products, summands, total)


def summands_of(total: fx.Node) -> list[fx.Node]:
    """What a tree of additions adds up."""
    found: list[fx.Node] = []
    for node in total.args:
        inside = isinstance(node, fx.Node) and len(node.users) == 1 and _is_sum(node, total)
        found += summands_of(node) if inside else [node]  # type: ignore[arg-type, list-item]
    return found


def _is_sum(node: fx.Node, like: fx.Node | None = None) -> bool:
    """Whether it adds two different tensors of one shape and dtype, in the phase of ``like``."""
    if node.target is not aten.add.Tensor or node.kwargs or len(node.all_input_nodes) != 2:
        return False
    if like is not None and node.meta.get("phase") != like.meta.get("phase"):
        return False
    values = [one.meta.get("val") for one in (node, *node.all_input_nodes)]
    tensors = [value for value in values if isinstance(value, torch.Tensor)]
    return len(tensors) == 3 and len({(str(one.shape), one.dtype) for one in tensors}) == 1


def _product_behind(summand: fx.Node) -> tuple[fx.Node, Hashable] | None:
    """The product that views and casts have made a summand of, and the way; None where another sees what is between."""
    way: list[Hashable] = []
    node = summand
    while len(node.users) == 1 and node.op == "call_function":
        if node.target is aten.mm.default:
            return (node, tuple(way)) if _is_product(node) else None
        if node.target is not CAST and not _is_view(node):
            return None
        way.append((node.target, str(node.args[1:]), str(node.kwargs)))
        node = node.all_input_nodes[0]
    return None


def _is_product(node: fx.Node) -> bool:
    """Whether it is a product of matrices of known sizes, with nothing but a bias for each column."""
    if node.op != "call_function" or node.target not in (aten.mm.default, aten.addmm.default) or node.kwargs:
        return False
    values = [one.meta["val"] for one in node.args]  # type: ignore[union-attr]
    if not all(isinstance(size, int) and size for value in values for size in value.shape):
        return False
    bias = values[:-2]
    return bool(node.users) and (not bias or bias[0].shape == node.meta["val"].shape[1:])


def _place(product: fx.Node) -> tuple[Hashable, ...]:
    """What products have to have in common."""
    value = product.meta["val"]
    number = re.match(r".*?\.\d+(?=\.|$)|\d+(?=\.|$)", layer_path(product))
    block = number[0] if number else ""
    region = torch_internals.checkpoint_region(product)
    return product.target, product.meta.get("phase"), value.dtype, value.device, region, block


def _layer_order(product: fx.Node) -> tuple[int, fx.Node]:
    """That of the forward: autograd gives a layer's products, forward and backward, one number."""
    number = product.meta.get("seq_nr")
    return number if isinstance(number, int) else -1, product


def _can_be_a_part(product: fx.Node, kind: Kind) -> bool:
    """Whether the result may share its memory with others: it stays inside, and every view of it exists there."""
    value = product.meta["val"]
    rows, columns = value.shape
    if kind == "left":
        if value.device.type == "cuda" and columns * value.itemsize % 16:
            return False  # the next part would begin where no vector does
        part = value.new_empty(rows, 2 * columns)[:, :columns]
    else:
        part = value.new_empty(2 * rows, columns)[:rows]
    try:
        return all(_is_known(user) for node in views_of(product, part) for user in node.users)
    except (RuntimeError, ValueError):  # such a view would need a copy
        return False


def views_of(node: fx.Node, value: Any) -> dict[fx.Node, Any]:
    """``node`` and all views of it, with what they are when it is ``value``."""
    found = {node: value}
    waiting = [node]
    while waiting:
        seen = waiting.pop()
        for user in seen.users:
            if user not in found and (user.target is operator.getitem or _is_view(user)):
                args = fx.node.map_arg((user.args, user.kwargs), lambda one: found.get(one, one.meta.get("val")))
                found[user] = user.target(*args[0], **args[1])  # type: ignore[operator]
                waiting.append(user)
    return found


def _is_view(node: fx.Node) -> bool:
    return torch_internals.is_view(node.target) and not node.is_impure() and node.target not in _READS_MEMORY


def _is_known(user: fx.Node) -> bool:
    """Whether ``user`` takes its operand in any layout: not so a result of the Program, nor code of someone else's."""
    if user.target is operator.getitem:
        return True
    known = torch_internals.is_operator(user.target) and user.target.namespace in ("aten", "prims")  # type: ignore[union-attr]
    return known and user.target not in _READS_MEMORY


def _independent(products: list[fx.Node]) -> Iterator[list[fx.Node]]:
    """Products in groups of two or more, of which none needs another's result; they can be where the first one is."""
    groups: list[list[fx.Node]] = []
    for product in products:
        for group in groups:
            if can_be_at(group[0], [*group, product]):
                group.append(product)
                break
        else:
            groups.append([product])
    return (group for group in groups if len(group) > 1)


def can_be_at(first: fx.Node, products: Sequence[fx.Node]) -> bool:
    """Whether all that ``products`` need can be computed before the ``first`` of them."""
    before = set().union(*(late_ancestors(product, first) for product in products))
    return before.isdisjoint(products) and all(map(_can_move, before))


def late_ancestors(node: fx.Node, first: fx.Node) -> set[fx.Node]:
    """What ``node`` needs of what comes after ``first``, or is it."""
    found: set[fx.Node] = set()
    waiting = list(node.all_input_nodes)
    while waiting:
        one = waiting.pop()
        if one not in found and not one < first:
            found.add(one)
            waiting += one.all_input_nodes
    return found


def _can_move(node: fx.Node) -> bool:
    if node.op != "call_function" or node.is_impure():
        return False
    return not torch_internals.is_operator(node.target) or not torch_internals.draws_random_numbers(node)
