"""A block: the same operations on the same shapes, at several places of a graph."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import fx

from tessera import torch_internals
from tessera.backend.regions.borders import base_of, is_selection, is_view
from tessera.backend.regions.runs import Run

Window = Sequence[fx.Node]


@dataclass(frozen=True)
class Block:
    """Windows of a graph that do the same.

    Attributes:
        windows: the places, each with its operations in order.
        operands: for every operand of the block what it is at each place.
        results: positions of the operations that somebody outside reads, at some place.
    """

    windows: list[Window]
    operands: list[tuple[fx.Node, ...]]
    results: list[int]

    @property
    def saved(self) -> int:
        """Operations that are not compiled again."""
        return len(self.windows[0]) * (len(self.windows) - 1)


def describe(node: fx.Node) -> Hashable:
    """What a node does, without from whom it reads; None where no block may hold it."""
    value = node.meta.get("val")
    kind = _kind(value)
    if node.op != "call_function" or kind is None:
        return None
    target: Any = node.target
    if torch_internals.is_operator(target):
        if torch_internals.writes(target):
            return None
    elif not is_selection(node):
        return None
    order = {read: i for i, read in enumerate(node.all_input_nodes)}
    reads = tuple(_kind(read.meta.get("val")) for read in order)
    return (target, _constants(node.args, order), _constants(node.kwargs, order), reads, kind)


def find_block(nodes: Sequence[fx.Node], run: Run) -> Block | None:
    """The block that repeats in a run, parted where least is lost; None where its places do not do the same."""
    slack = min(run.period, run.end - run.start - 2 * run.period + 1)
    best: tuple[int, int] | None = None
    for offset in range(slack):
        start = run.start + offset
        if is_selection(nodes[start]) or is_view(nodes[start - 1]):
            continue
        lost = _fusions_across(nodes[start : start + run.period], nodes[start + run.period : start + 2 * run.period])
        if best is None or lost < best[0]:
            best = (lost, start)
    if best is None:
        return None
    starts = range(best[1], run.end - run.period + 1, run.period)
    return _block([nodes[start : start + run.period] for start in starts])


def _block(windows: Sequence[Window]) -> Block | None:
    alike: dict[Hashable, list[Window]] = defaultdict(list)
    for window in windows:
        if (structure := _structure(window)) is not None:
            alike[structure].append(window)
    chosen = max(alike.values(), key=len, default=[])
    if len(chosen) < 2:
        return None
    places = [{node: i for i, node in enumerate(window)} for window in chosen]
    operands: dict[tuple[fx.Node, ...], None] = {}
    for position, node in enumerate(chosen[0]):
        for index, read in enumerate(node.all_input_nodes):
            if read not in places[0]:
                operands[tuple(window[position].all_input_nodes[index] for window in chosen)] = None
    results = [
        i
        for i in range(len(chosen[0]))
        if any(user not in inside for window, inside in zip(chosen, places, strict=True) for user in window[i].users)
    ]
    return Block(list(chosen), list(operands), results)


def _structure(window: Window) -> Hashable:
    """Which inputs are whose results, and where the others begin to be the same; None if it cannot stand alone."""
    inside = {node: i for i, node in enumerate(window)}
    found = []
    for node in window:
        leaves = any(user not in inside for user in node.users)
        if leaves and (is_view(node) or not isinstance(node.meta["val"], torch.Tensor)):
            return None
        reads = node.all_input_nodes
        if not all(n in inside or isinstance(n.meta.get("val"), torch.Tensor) for n in reads):
            return None
        found.append(tuple(inside.get(n, -1) for n in reads))
    return tuple(found)


def _fusions_across(window: Window, following: Window) -> int:
    """How many values of ``window`` a kernel of ``following`` could have had without a way through memory.

    That is where no library call stands between the two.
    """
    calls: dict[fx.Node, int] = {}  # on the longest way to a node
    for node in (*window, *following):
        calls[node] = max((calls.get(n, 0) for n in node.all_input_nodes), default=0) + calls_library(node)
    own, lost = set(window), set()
    for node in filter(_fuses, following):
        lost |= {b for b in map(base_of, node.all_input_nodes) if b in own and _fuses(b) and calls[b] == calls[node]}
    return len(lost)


def _fuses(node: fx.Node) -> bool:
    return not is_view(node) and not calls_library(node)


def calls_library(node: fx.Node) -> bool:
    """Whether an operation is a call of a library, not part of a kernel."""
    name = getattr(getattr(node.target, "overloadpacket", None), "__name__", "")
    return name in _LIBRARY or name.startswith("_scaled_dot_product")


_LIBRARY = {"mm", "addmm", "bmm", "baddbmm", "convolution", "convolution_backward", "_embedding_bag"}


def _kind(value: Any) -> Hashable:
    if isinstance(value, (tuple, list)):
        kinds = tuple(map(_kind, value))
        return None if None in kinds else kinds
    if not isinstance(value, torch.Tensor) or value.layout is not torch.strided or value.device.type != "cpu":
        return None
    sizes = (*value.shape, *value.stride())
    if not all(isinstance(size, int) for size in sizes):
        return None
    return (value.dtype, value.device, *sizes)


def _constants(value: Any, order: dict[fx.Node, int]) -> Hashable:
    """Arguments with a number in place of every node."""
    if isinstance(value, fx.Node):
        return ("node", order[value])
    if isinstance(value, (tuple, list)):
        return tuple(_constants(v, order) for v in value)
    if isinstance(value, dict):
        return tuple((key, _constants(v, order)) for key, v in sorted(value.items()))
    return (type(value), repr(value))  # 1 is not True, and -0.0 not 0.0
