"""The updates of many tensors by one formula become one call of one kernel.

    before   p0' = p0 - lr * g0;  p1' = p1 - lr * g1;  ...      a loop for each tensor, each compiled by itself
    after    update_many(formula, [p0, p1, ...], [g0, lr, g1, lr, ...])

A formula is the pointwise arithmetic of update and clipping that leads to the new values of a parameter and its state.
Tensors that share it are updated by the same compiled loop (see ``update_kernel.py``): small ones in one call, a large
one in a call of its own, so that its gradient's memory is free again as soon as it is used. Promise: bitwise.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import fx

from tessera import torch_internals
from tessera.backend.rewrite import Pass
from tessera.backend.update_kernel import UPDATE_MANY, Formula, Operand, compile_formula
from tessera.program import COPY, Phase, Program

FEWEST = 8  # tensors; fewer cost the C++ compiler little
SMALLEST = 1 << 14  # elements of all of them; fewer fit into a kernel with the rest of the step
LARGE = 1 << 18  # elements of one tensor that is worth a call of its own

_PHASES = (Phase.CLIP, Phase.UPDATE, Phase.CHECK)
_FULL = torch.ops.aten.full.default


def gather_updates(program: Program) -> int:
    """Replace updates that share a formula by ``update_many``; returns how many tensors are written by it now."""
    groups: dict[Formula, list[_Member]] = defaultdict(list)
    for member in _independent(program, [m for m in _members(program) if m.is_uniform()]):
        groups[member.formula()].append(member)
    written = 0
    for formula, members in groups.items():
        if len(members) < FEWEST or sum(m.size for m in members) < SMALLEST or not compile_formula(formula):
            continue
        large = [[m] for m in members if m.size >= LARGE]
        small = [m for m in members if m.size < LARGE]
        for together in [*large, small] if small else large:
            _insert(program, formula, together)
        written += sum(len(m.copies) for m in members)
    return written


@dataclass
class _Member:
    """The arithmetic that updates one parameter and its state.

    ``nodes`` and ``copies`` are in the order of the graph; ``size`` is the number of elements.
    """

    nodes: list[fx.Node] = field(default_factory=list)
    copies: list[fx.Node] = field(default_factory=list)

    @property
    def written(self) -> list[fx.Node]:
        return [_destination(copy) for copy in self._full_first]

    @property
    def _full_first(self) -> list[fx.Node]:
        return sorted(self.copies, key=lambda copy: _destination(copy).meta["val"].dim() == 0)

    @property
    def read(self) -> list[fx.Node]:
        """What comes from elsewhere, in the order of its first use."""
        own = {*self.nodes, *self.written}
        found = [n for node in self.nodes for n in node.all_input_nodes if n not in own]
        return list(dict.fromkeys(found))

    @property
    def operands(self) -> list[fx.Node]:
        return [*self.written, *self.read]

    @property
    def size(self) -> int:
        return max(n.meta["val"].numel() for n in self.written)

    def is_uniform(self) -> bool:
        """Whether one loop can do it: what it writes lies alike in memory, and numbers are not written before it."""
        full = [n.meta["val"] for n in self.written if n.meta["val"].dim() > 0]
        numbers = [n for n in self.written if n.meta["val"].dim() == 0]
        loop = [n for n in self.nodes if n.meta["val"].dim() > 0]
        return (
            bool(full)
            and all(v.shape == full[0].shape and v.stride() == full[0].stride() for v in full)
            and _is_dense(full[0])
            and not any(user in loop for n in numbers for user in n.users)
        )

    def formula(self) -> Formula:
        """What is done, without names and sizes."""
        operands, written = self.operands, set(self.written)
        local = {node: ("operand", i) for i, node in enumerate(operands)}
        local |= {node: ("step", i) for i, node in enumerate(self.nodes)}

        def named(node: fx.Node) -> str:
            return f"<{' '.join(map(str, local[node]))}>"

        lines = []
        for node in self.nodes:
            args = ("shape", *node.args[1:]) if node.target is _FULL else node.args
            lines.append(f"{node.target} {fx.node.map_arg((args, node.kwargs), named)} {_kind(node)}")
        writes = [(i, _source(copy)) for i, copy in enumerate(self._full_first)]
        lines += [f"{i} <- {named(source)}" for i, source in writes]
        kinds = [Operand(n.meta["val"].dim() > 0, n.meta["val"].dtype, n in written) for n in operands]
        return Formula(tuple(kinds), tuple(self.nodes), local, tuple(writes), "\n".join(lines))


def _kind(node: fx.Node) -> str:
    value = node.meta["val"]
    return f"{value.dtype} {'full' if value.dim() else 'number'}"


def _members(program: Program) -> Iterator[_Member]:
    """Connected parts of the update's arithmetic that end in writes."""
    nodes = list(program.graph.nodes)
    inside: set[fx.Node] = set()
    for node in reversed(nodes):
        wanted = all(user in inside or _is_source(node, user) for user in node.users)
        if node.users and wanted and _is_pointwise(node) and node.meta["val"].dim() > 0:
            inside.add(node)
    parts = _connected([n for n in nodes if n in inside or (n.target is COPY and _source(n) in inside)])
    part_of = {node: i for i, part in enumerate(parts) for node in part}
    _add_numbers(nodes, part_of)
    members = [_Member() for _ in parts]
    for node in nodes:
        if node in part_of:
            member = members[part_of[node]]
            (member.copies if node.target is COPY else member.nodes).append(node)
    yield from (member for member in members if member.copies)


def _add_numbers(nodes: list[fx.Node], part_of: dict[fx.Node, int]) -> None:
    """Single numbers that depend on the state of one part, such as its count of steps, join that part."""
    written = (_destination(node) for node in nodes if node.target is COPY)
    own = {node for node in written if node.meta["val"].dim() == 0}
    for node in nodes:
        if not own.isdisjoint(node.all_input_nodes):
            own.add(node)
    for node in reversed(nodes):
        if node in own and _is_pointwise(node) and node.meta["val"].dim() == 0:
            copies = [user for user in node.users if _is_source(node, user)]
            parts = {part_of.get(user, -1) for user in node.users if user not in copies}
            if len(parts) == 1 and -1 not in parts:
                part_of |= dict.fromkeys([node, *copies], parts.pop())


def _connected(nodes: list[fx.Node]) -> list[list[fx.Node]]:
    part_of: dict[fx.Node, list[fx.Node]] = {}
    for node in nodes:
        joined = [node]
        for neighbour in node.all_input_nodes:
            other = part_of.get(neighbour)
            if other is not None and other is not part_of.get(node):
                joined += other
        joined = list(dict.fromkeys(joined))
        part_of |= dict.fromkeys(joined, joined)
    return list({id(part): part for part in part_of.values()}.values())


def _is_pointwise(node: fx.Node) -> bool:
    value = node.meta.get("val")
    if node.op != "call_function" or node.meta.get("phase") not in _PHASES or not isinstance(value, torch.Tensor):
        return False
    if value.device.type != "cpu" or value.is_complex() or value.layout is not torch.strided:
        return False
    if node.target is _FULL:
        return value.dim() > 0
    if not _is_pure(node.target) or not all(isinstance(size, int) for size in value.shape):
        return False
    inputs = [n.meta.get("val") for n in node.all_input_nodes]
    return bool(inputs) and all(
        isinstance(v, torch.Tensor)
        and v.device.type == "cpu"
        and not v.is_complex()
        and (v.dim() == 0 or v.shape == value.shape)
        for v in inputs
    )


def _is_pure(target: Any) -> bool:
    return (
        torch_internals.is_operator(target)
        and torch.Tag.pointwise in target.tags
        and not torch_internals.is_random(target)
        and not torch_internals.writes(target)
    )


def _is_dense(value: torch.Tensor) -> bool:
    if value.is_contiguous():
        return True
    return value.dim() == 4 and value.is_contiguous(memory_format=torch.channels_last)


def _independent(program: Program, members: list[_Member]) -> list[_Member]:
    """Members whose writes nobody else sees too early: neither another member nor a result or write that stays."""
    while True:
        writer = {node: member for member in members for node in member.written}
        gathered = {copy for member in members for copy in member.copies}
        clashing: list[_Member] = []
        for member in members:
            for operand in member.read:
                clashing += [writer[base] for base in _bases(operand) if base in writer]
        staying = [_source(n) for n in program.graph.nodes if n.target is COPY and n not in gathered]
        for node in [*staying, *(n for n in program.results if isinstance(n, fx.Node))]:
            clashing += [writer[base] for base in _bases(node) if base in writer]
        if not clashing:
            return members
        members = [m for m in members if m not in clashing]


def _bases(node: fx.Node) -> Iterator[fx.Node]:
    """The node and what it is a view of."""
    yield node
    if torch_internals.is_view(node.target):
        for source in node.all_input_nodes:
            yield from _bases(source)


def _insert(program: Program, formula: Formula, members: list[_Member]) -> None:
    graph = program.graph
    # Before all other writes: what is read here are the values from before the step.
    first = next(node for node in graph.nodes if node.target in (COPY, UPDATE_MANY) or node.op == "output")
    arguments: tuple[Any, ...] = (
        formula.name,
        [member.size for member in members],
        [node for member in members for node in member.written],
        [node for member in members for node in member.read],
    )
    with graph.inserting_before(first):
        graph.call_function(UPDATE_MANY, arguments).meta["phase"] = Phase.UPDATE
    for member in members:
        for copy in member.copies:
            graph.erase_node(copy)


def _destination(copy: fx.Node) -> Any:
    return copy.args[0]


def _source(copy: fx.Node) -> Any:
    return copy.args[1]


def _is_source(node: fx.Node, copy: fx.Node) -> bool:
    return copy.target is COPY and _source(copy) is node and _destination(copy) is not node


GATHER_UPDATES = Pass(
    "gather_updates", "bitwise", gather_updates, "two or more parameters that are updated by one formula"
)
