"""The stretch of a graph around one wide product that can be computed for some rows at a time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, fx

from tessera.backend.rows.rules import SHARED, SUMMED, Placed, Question, first_product, place


@dataclass(frozen=True)
class Region:
    """Operations that are computed in chunks.

    Attributes:
        rows: how many there are.
        placed: the operations, in the order of the graph.
        operands: what comes from elsewhere, with its lead: sliced, or shared by all chunks.
        results: what is used elsewhere.
    """

    rows: int
    placed: dict[fx.Node, Placed]
    operands: list[tuple[fx.Node, int]]
    results: list[fx.Node]


def find_region(product: fx.Node, order: dict[fx.Node, int]) -> Region | None:
    """What belongs in chunks with ``product``, an ``mm`` or ``addmm`` with a wide result; None if it has to be whole.

    Everything as wide as its result must be consumed inside, and nothing inside may wait for a result of the region.
    """
    rows = product.meta["val"].shape[0]
    wide = product.meta["val"].numel() // 2
    placed = _follow(product, rows)

    def is_wide(node: fx.Node) -> bool:
        value = node.meta.get("val")
        return isinstance(value, Tensor) and value.numel() >= wide

    inside = _trim(placed, is_wide)
    if any(is_wide(n) and p.lead != SUMMED and not n.users.keys() <= inside.keys() for n, p in inside.items()):
        return None
    below = _descendants(inside, order)
    _pull_in(inside, rows, is_wide)
    inside = dict(sorted(inside.items(), key=lambda item: order[item[0]]))
    operands = dict.fromkeys(pair for p in inside.values() for pair in p.operands if pair[0] not in inside)
    if any(node in below for node, _ in operands) or not all(
        _is_plain(n) for n in (*inside, *(n for n, _ in operands))
    ):
        return None
    results = [n for n in inside if n in below and not n.users.keys() <= inside.keys()]
    return Region(rows, inside, list(operands), results)


def _follow(product: fx.Node, rows: int) -> dict[fx.Node, Placed]:
    """Everything behind ``product`` that can be computed in chunks, in the order of the graph."""
    placed = {product: first_product(product)}

    def lead_of(node: fx.Node) -> int | None:
        return placed[node].lead if node in placed else None

    node = product.next
    while node.op != "output":
        leads = {lead_of(n) for n in node.all_input_nodes}
        if leads - {None, SUMMED} and SUMMED not in leads and (found := place(Question(node, rows, lead_of))):
            placed[node] = found
        node = node.next
    return placed


def _trim(placed: dict[fx.Node, Placed], is_wide: Callable[[fx.Node], bool]) -> dict[fx.Node, Placed]:
    """Keep what is wide, what reads it, and what those need; the rest is small and can wait for all rows."""
    kept: set[fx.Node] = set()
    for node in reversed(placed):
        wide = (n for n in (node, *node.all_input_nodes) if n in placed and placed[n].lead != SUMMED)
        if any(map(is_wide, wide)) or not kept.isdisjoint(node.users):
            kept.add(node)
    return {node: p for node, p in placed.items() if node in kept}


def _pull_in(inside: dict[fx.Node, Placed], rows: int, is_wide: Callable[[fx.Node], bool]) -> None:
    """Compute wide operands in chunks too where they are made of something small: a one-hot, a mask."""
    waiting = [pair for p in inside.values() for pair in p.operands]
    while waiting:
        node, lead = waiting.pop()
        if node in inside or lead <= SHARED or not is_wide(node):
            continue
        question = Question(node, rows, lambda n: inside[n].lead if n in inside else None, lead)
        if (found := place(question)) and found.lead == lead:
            inside[node] = found
            waiting += found.operands


def _descendants(inside: dict[fx.Node, Placed], order: dict[fx.Node, int]) -> set[fx.Node]:
    """All that depends on ``inside``, and itself."""
    below = set(inside)
    for node in order:
        if not below.isdisjoint(node.all_input_nodes):
            below.add(node)
    return below


def _is_plain(node: fx.Node) -> bool:
    value = node.meta.get("val")
    return isinstance(value, Tensor) and all(isinstance(size, int) for size in value.shape)


def wide_products(graph: fx.Graph, smallest: int, ratio: int) -> list[fx.Node]:
    """Products of at least ``smallest`` bytes, ``ratio`` times as wide as what they are made of; the widest first."""
    targets = (torch.ops.aten.mm.default, torch.ops.aten.addmm.default)
    nodes = [n for target in targets for n in graph.find_nodes(op="call_function", target=target)]
    return sorted((n for n in nodes if _is_wide_product(n, smallest, ratio)), key=lambda n: -n.meta["val"].numel())


def _is_wide_product(node: fx.Node, smallest: int, ratio: int) -> bool:
    operands = node.all_input_nodes
    if node.kwargs or len(operands) < len(node.args) or not all(_is_plain(n) for n in (node, *operands)):
        return False
    value, source = node.meta["val"], operands[-2].meta["val"]
    return value.shape[0] > 1 and value.nbytes >= smallest and value.shape[1] >= ratio * source.shape[1]
