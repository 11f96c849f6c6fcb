"""Matrix products that share an operand, or whose results are added, become one product.

    before   q = x @ wq; k = x @ wk; v = x @ wv        forward: projections of one input
             dx = dq @ wq' + dk @ wk' + dv @ wv'       backward: into the input
             dwq = x' @ dq; dwk = x' @ dk; ...         backward: into the weights
    after    qkv = x @ [wq | wk | wv];  q, k, v = views of qkv
             dx = [dq | dk | dv] @ [wq' ; wk' ; wv']
             dw = x' @ [dq | dk | dv];  dwq, dwk, dwv = views of dw

Weights, and biases, are laid side by side at every call, gradients by the kernels that compute them where those can.
Whether that is faster is measured on this device, once, and remembered (``projections/worth.py``); where it is not, the
products stay apart and the Report has both times. Sums run in another order than before: promise close.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import torch
from torch import fx

from tessera import torch_internals
from tessera.backend.precision_choice import OPERANDS
from tessera.backend.projections.groups import (
    Group,
    Kind,
    can_be_at,
    find_groups,
    late_ancestors,
    operands,
    summands_of,
    views_of,
)
from tessera.backend.projections.worth import Layout, Problem, verdict_on
from tessera.backend.rewrite import Pass
from tessera.program import Program, parts_of

aten = torch.ops.aten

KINDS: tuple[Kind, ...] = ("left", "right", "sum")


def merge_projections(program: Program) -> int:
    """Make one product of every group where that pays; returns how many groups."""
    merging = _Merging(program)
    matched, told = 0, Counter[str]()
    for kind in KINDS:
        for group in find_groups(program.graph, kind):
            problem = merging.problem(group)
            verdict = verdict_on(problem)
            if verdict is not None:
                told[f"{'merged' if verdict.pays else 'not merged'} {problem}: {verdict}"] += 1
            if verdict is not None and verdict.pays:
                matched += merging.merge(group)
    program.notes += [note + (f", {count} times" if count > 1 else "") for note, count in told.items()]
    return matched


class _Merging:
    """Rewrites groups; matrices that are laid side by side for one of them are there for the others."""

    def __init__(self, program: Program) -> None:
        self._graph = program.graph
        self._fake_mode = torch_internals.fake_mode_of([node.meta["val"] for node in program.placeholders])
        self._joined: dict[tuple[tuple[fx.Node, ...], int], fx.Node] = {}
        self._sums: dict[fx.Node | None, fx.Node] = {}  # a sum as it was -> as it is, with some of its products one

    def problem(self, group: Group) -> Problem:
        """What to measure."""
        lefts, rights = _sides(group)
        value = group.products[0].meta["val"]
        copied = group.kind == "left" and any(map(_is_multiplied, group.products))
        left, right = (tuple(map(_layout, side)) for side in (lefts, rights))
        place = self._place(group)
        on_left, on_right = (len(side) > 1 and self._copies(side, dim, place) for side, dim in _joining(group))
        return Problem(group.kind, left, right, on_left, on_right, copied, value.dtype, value.device)

    def merge(self, group: Group) -> bool:
        """Replace the products of a group by one, unless one of them has come to wait for another meanwhile."""
        place = self._place(group)
        if group.total is None:
            if not can_be_at(place, group.products):
                return False
            late = set().union(*(late_ancestors(product, place) for product in group.products))
            for node in sorted(late):
                place.prepend(node)
        made_of = parts_of({product: torch_internals.work_of(product) or 1 for product in group.products})
        origin = {**group.products[0].meta, "made_of": made_of}
        matrices = [self._side_by_side(side, dim, place, origin) for side, dim in _joining(group)]
        biases = [product.args[0] for product in group.products if product.target is aten.addmm.default]
        if biases:
            bias = self._side_by_side(biases, 0, place, origin)  # type: ignore[arg-type]
            merged = self._call(place, origin, aten.addmm.default, bias, *matrices)
        else:
            merged = self._call(place, origin, aten.mm.default, *matrices)
        if group.total is None:
            self._take_apart(group, merged, place)
        else:
            self._add_up(group, merged, place)
        return True

    def _take_apart(self, group: Group, merged: fx.Node, place: fx.Node) -> None:
        dim = 1 if group.kind == "left" else 0
        begin = 0
        for product in group.products:
            end = begin + product.meta["val"].shape[dim]
            part = self._call(place, product.meta, aten.slice.Tensor, merged, dim, begin, end)
            product.replace_all_uses_with(part)
            for view, value in views_of(part, part.meta["val"]).items():
                view.meta["val"] = value
            begin = end
        for product in group.products:
            self._graph.erase_node(product)

    def _add_up(self, group: Group, merged: fx.Node, total: fx.Node) -> None:
        value, summand = merged, group.summands[0]
        way = []
        while summand is not group.products[0]:
            way.append(summand)
            summand = summand.all_input_nodes[0]
        for step in reversed(way):
            value = self._call(total, step.meta, step.target, value, *step.args[1:], **step.kwargs)
        others = [node for node in summands_of(total) if node not in group.summands]
        for node in reversed(others):
            value = self._call(total, total.meta, aten.add.Tensor, node, value)
        total.replace_all_uses_with(value)
        self._sums[group.total] = value
        self._graph.eliminate_dead_code()

    def _side_by_side(self, matrices: Sequence[fx.Node], dim: int, place: fx.Node, origin: dict[str, Any]) -> fx.Node:
        if len(matrices) == 1:
            return matrices[0]
        if all(map(_is_transposed, matrices)):
            inner = self._side_by_side([node.all_input_nodes[0] for node in matrices], 1 - dim, place, origin)
            return self._call(place, origin, aten.permute.default, inner, [1, 0])
        known = self._known(matrices, dim, place)
        if known is None:
            known = self._call(place, origin, aten.cat.default, list(matrices), dim)
            self._joined[tuple(matrices), dim] = known
        return known

    def _place(self, group: Group) -> fx.Node:
        """What the one product stands before."""
        return min(group.products) if group.total is None else self._sums.get(group.total, group.total)

    def _known(self, matrices: Sequence[fx.Node], dim: int, place: fx.Node) -> fx.Node | None:
        known = self._joined.get((tuple(matrices), dim))
        return known if known is not None and known < place else None

    def _copies(self, matrices: Sequence[fx.Node], dim: int, place: fx.Node) -> bool:
        """Whether matrices have to be copied to lie side by side."""
        if all(map(_is_transposed, matrices)):
            return self._copies([node.all_input_nodes[0] for node in matrices], 1 - dim, place)
        return self._known(matrices, dim, place) is None and not all(map(_can_be_written_there, matrices))

    def _call(self, place: fx.Node, origin: dict[str, Any], target: Any, *args: Any, **kwargs: Any) -> fx.Node:
        with self._graph.inserting_before(place):
            node = self._graph.call_function(target, args, kwargs)
        node.meta = {key: value for key, value in origin.items() if key != "val"}
        node.meta["val"] = torch_internals.computed_anew(node, self._fake_mode)
        return node


def _sides(group: Group) -> tuple[list[fx.Node], list[fx.Node]]:
    """The operands, one that is shared once."""
    lefts, rights = (list(side) for side in zip(*map(operands, group.products), strict=True))
    return lefts[:1] if group.kind == "left" else lefts, rights[:1] if group.kind == "right" else rights


def _joining(group: Group) -> list[tuple[list[fx.Node], int]]:
    """The operands of both sides, and along which dimension they are laid side by side."""
    lefts, rights = _sides(group)
    return [(lefts, int(group.kind == "sum")), (rights, int(group.kind == "left"))]


def _layout(node: fx.Node) -> Layout:
    value = node.meta["val"]
    return tuple(value.shape), tuple(value.stride())


def _is_transposed(node: fx.Node) -> bool:
    return node.target is aten.permute.default and list(node.args[1]) == [1, 0]  # type: ignore[arg-type]


def _is_multiplied(product: fx.Node) -> bool:
    """Whether a product reads the result, which might then need it in memory of its own."""
    users = (user for node in views_of(product, product.meta["val"]) for user in node.users)
    return any(user.target in OPERANDS for user in users)


def _can_be_written_there(node: fx.Node) -> bool:
    """Whether the kernel that computes it can write it side by side with others.

    So it is for the low copy of a weight, which is cheap to write twice, and for what one product alone reads.
    """
    readers = set(node.users)
    while node.op == "call_function" and torch_internals.is_view(node.target):
        node = node.all_input_nodes[0]
        readers |= set(node.users)
    if node.op != "call_function" or not torch_internals.is_operator(node.target):
        return False
    if node.target not in _COPIES and torch.Tag.pointwise not in node.target.tags:  # type: ignore[union-attr]
        return False
    of_inputs = all(one.op == "placeholder" for one in node.all_input_nodes)
    return of_inputs or sum(not torch_internals.is_view(one.target) for one in readers) <= 1


_COPIES = (aten.clone.default, aten._to_copy.default, torch.ops.prims.convert_element_type.default)


MERGE_PROJECTIONS = Pass(
    "merge_projections",
    "close",
    merge_projections,
    "products of one operand, or added, that are faster as one",
)
