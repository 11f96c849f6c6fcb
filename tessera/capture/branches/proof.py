"""Whether captured branches only compute: what they would do besides is different when both are compiled, or lost.

A branch that returns a tensor from before it is captured with a copy of that tensor, and one that changes a variable in
place with a copy of what it changes. Here it is shown that nobody can tell: that neither is written to afterwards, and
that the copy does not leave what is captured beside what it is a copy of.

A gradient is shown to flow whichever branch is taken. Where it would not, eager PyTorch leaves it None, for which
optimizers do nothing, and a compiled branch makes it zero.
"""

from __future__ import annotations

import functools
import itertools
import operator
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import fx

from tessera import torch_internals
from tessera.backend.unsafe_graphs import memory_of_node, traced_wrongly, written_nodes
from tessera.capture.branches import choice
from tessera.program.provenance import frames_of_trace


@dataclass(frozen=True)
class GivenBack:
    """A result that is an argument itself, not a copy, where ``decides`` is ``wanted``.

    Attributes:
        result, given: their positions.
    """

    result: int
    given: int
    decides: fx.Node
    wanted: bool


class Unsafe(Exception):
    """Why what was captured is to run in pieces."""


def prove(graph_module: fx.GraphModule) -> list[GivenBack]:
    """Show that branches only compute, and take out copies that need not be.

    Returns:
        Results of the graph that are copies where they are to be what they are copies of.

    Raises:
        Unsafe: it cannot be shown.
    """
    found = decisions(graph_module)
    if not found:
        return []
    if torch_internals.transforms_inside(graph_module.graph):
        raise Unsafe("a transform of functions meets a branch")
    if torch_internals.capture_draws_numbers():
        raise Unsafe("random numbers of Python's are drawn beside branches")
    level = _Level(graph_module)
    if len(found) > level.count():
        raise Unsafe("a branch stands in what is called in a way of its own, a checkpoint for one")
    level.check_gradients()
    return level.given_back()


def decisions(graph_module: fx.GraphModule) -> list[fx.Node]:
    """What ``choose`` and its like became in a captured graph."""
    graphs = [module.graph for module in graph_module.modules() if isinstance(module, fx.GraphModule)]
    return [node for graph in graphs for node in graph.nodes if _is_choice(node)]


def _is_choice(node: fx.Node) -> bool:
    """Whether ``choose`` and its like made this cond, and not the user."""
    if node.op != "call_function" or node.target is not torch.ops.higher_order.cond:
        return False
    return any(file == choice.__file__ for file, _ in frames_of_trace(node.meta.get("stack_trace") or "")[-1:])


def _tensor(node: Any) -> torch.Tensor | None:
    value = node.meta.get("example_value") if isinstance(node, fx.Node) else None
    return value if isinstance(value, torch.Tensor) else None


def _needs_gradient(node: fx.Node) -> bool:
    value = _tensor(node)
    return value is not None and value.requires_grad


Flow = tuple[frozenset[int], frozenset[int]]  # inputs that a gradient reaches: whatever is decided, and perhaps


class _Level:
    """One graph: what was captured, or a branch in it."""

    def __init__(self, graph_module: fx.GraphModule) -> None:
        self.graph = graph_module.graph
        self.inputs = list(self.graph.find_nodes(op="placeholder"))
        (returned,) = self.graph.output_node().args
        self.outputs: list[Any] = list(returned) if isinstance(returned, tuple | list) else [returned]
        self._same: dict[int, int] = {}  # which memory may be which other's, eagerly
        self._branches: dict[fx.Node, tuple[_Level, _Level]] = {}
        for node in self.graph.nodes:
            if _is_choice(node):
                self._see(node, *(getattr(graph_module, child.target) for child in node.args[1:3]))
        self._check_writes()

    def _see(self, node: fx.Node, true: fx.GraphModule, false: fx.GraphModule) -> None:
        both = _branch(true), _branch(false)
        self._branches[node] = both
        operands: Any = node.args[3]
        for branch in both:
            for (one, first), (other, second) in itertools.combinations(enumerate(operands), 2):
                if self.memory(first) and self.memory(first) == self.memory(second):
                    branch.unite(branch.inputs[one], branch.inputs[other])
        for branch in both:
            for index in branch.owned():
                self._check_owned(node, operands[index])
        for index, results in enumerate(zip(both[0].outputs, both[1].outputs, strict=True)):
            if len({_needs_gradient(result) for result in results}) > 1:
                raise Unsafe("the result of one branch has a gradient and that of the other has none")
            if not _are_alike(*(_tensor(each) for result in results for each in (_before_copy(result), result))):
                raise Unsafe("the results of the branches differ in shape, layout or dtype")
            for user in node.users:
                if user.args[1:] == (index,):
                    for branch in both:
                        for source in branch.handed_on(index):
                            self.unite(user, operands[source])

    def count(self) -> int:
        """Of all decisions in it."""
        return len(self._branches) + sum(branch.count() for both in self._branches.values() for branch in both)

    # -- memory ------------------------------------------------------------------------------------------------------

    def memory(self, node: Any) -> int:
        """What memory a value lies in, as a number that two values share which may lie in the same; 0 for none."""
        return self._root(memory_of_node(node))

    def unite(self, one: fx.Node, other: fx.Node) -> None:
        first, second = self.memory(one), self.memory(other)
        if first != second:
            self._same[first] = second

    def _united(self) -> set[int]:
        return set(self._same) | set(self._same.values())

    def handed_on(self, index: int) -> list[int]:
        """The inputs that an output may be, or be a view of; the copy that stands for it is looked through."""
        result = _before_copy(self.outputs[index])
        found = self.memory(result)
        return [i for i, node in enumerate(self.inputs) if found and self.memory(node) == found]

    def owned(self) -> Iterator[int]:
        """The inputs that are copied to be changed in place."""
        for node in self.graph.find_nodes(op="call_function", target=torch.clone):
            if "memory_format" in node.kwargs:
                found = self.memory(node.args[0])
                sources = [(i, n) for i, n in enumerate(self.inputs) if self.memory(n) == found]
                for index, source in sources:
                    if set(source.users) != {node} or len(sources) > 1:
                        raise Unsafe("a branch changes a variable in place, and reads it by another name")
                    yield index

    def _check_owned(self, cond: fx.Node, operand: fx.Node) -> None:
        """Nobody sees afterwards that ``operand`` was not changed."""
        found = self.memory(operand)
        if any(self.memory(node) == found for node in self.inputs):
            raise Unsafe("a branch changes in place what was given")
        if any(node is not operand and self.memory(node) == found for node in cond.args[3]):  # type: ignore[union-attr]
            raise Unsafe("a branch changes in place what has another name")
        behind = False
        for node in self.graph.nodes:
            if behind and any(self.memory(given) == found for given in node.all_input_nodes):
                raise Unsafe("a branch changes in place what is read afterwards by another name")
            behind = behind or node is cond

    def _check_writes(self) -> None:
        united = {self.memory(node) for node in self.graph.nodes} & {self._root(key) for key in self._united()}
        for node in self.graph.nodes:
            if united and any(self.memory(each) in united for each in written_nodes(node)):
                raise Unsafe("a branch returns what was there before, and it is written to")

    def _root(self, key: int) -> int:
        while key in self._same:
            key = self._same[key]
        return key

    def check_alone(self) -> None:
        """A branch does nothing but compute."""
        fresh = [self.memory(_before_copy(result)) for result in self.outputs]
        if len(set(fresh)) < len(fresh):
            raise Unsafe("a branch returns one tensor twice")
        for result in self.outputs:
            value = _tensor(result)
            if value is None or type(value).__name__ != "FakeTensor" or value.layout is not torch.strided:
                raise Unsafe("a branch returns something else than tensors")
        given = {self.memory(node) for node in self.inputs}
        for node in self.graph.nodes:
            if any(self.memory(each) in given for each in written_nodes(node)):
                raise Unsafe("a branch writes to what was there before")

    def given_back(self) -> list[GivenBack]:
        """Which results are an argument at times. No other is the copy of something that somebody has."""
        roots = {self._root(key) for key in self._united()}
        left = [found for result in self.outputs if (found := self.memory(result)) in roots]
        if len(set(left)) < len(left):
            raise Unsafe("a branch returns what was there before, and that is returned too")
        given = {self.memory(node) for node in self.inputs}
        return [
            back
            for position, result in enumerate(self.outputs)
            if self.memory(result) in given.intersection(left)
            for back in self._given_back(position, result)
        ]

    def _given_back(self, position: int, result: fx.Node) -> Iterator[GivenBack]:
        cond: Any = result.args[0] if result.target is operator.getitem else None
        for wanted, branch in zip((True, False), self._branches.get(cond, ()), strict=False):
            source = _before_copy(branch.outputs[result.args[1]])  # type: ignore[index]
            if not branch.handed_on(result.args[1]):  # type: ignore[arg-type]
                continue
            operand = cond.args[3][branch.inputs.index(source)] if source in branch.inputs else None
            if operand in self.inputs:
                yield GivenBack(position, self.inputs.index(operand), cond.args[0], wanted)
            elif operand is None or self._may_be_given(operand):
                raise Unsafe("a branch returns a part of what was given, and it is returned")
        if cond not in self._branches:
            raise Unsafe("a branch returns what was given, and a view of it is returned")

    def _may_be_given(self, operand: fx.Node) -> bool:
        """Whether a value lies in the memory of an argument, or may be one by what was decided before."""
        chosen = (user for cond in self._branches for user in cond.users)
        return any(memory_of_node(operand) == memory_of_node(node) for node in (*self.inputs, *chosen))

    # -- gradients ---------------------------------------------------------------------------------------------------

    def check_gradients(self) -> None:
        """No gradient depends on what is decided."""
        for result in self.outputs:
            if isinstance(result, fx.Node):
                surely, perhaps = self.flow(result)
                for index in perhaps - surely:
                    name = self.inputs[index].name.replace("l_", "", 1).strip("_")
                    raise Unsafe(f"only one branch computes with {name}, whose gradient is None where it is not taken")

    def flow(self, result: fx.Node) -> Flow:
        """Where the gradient of ``result`` goes."""
        return self._flows[result]

    @functools.cached_property
    def _flows(self) -> dict[fx.Node, Flow]:
        flows: dict[fx.Node, Flow] = {}
        for node in self.graph.nodes:
            cond = node.args[0] if node.target is operator.getitem else None
            if not _needs_gradient(node):
                flows[node] = frozenset(), frozenset()
            elif node.op == "placeholder":
                flows[node] = (frozenset([self.inputs.index(node)]),) * 2
            elif cond in self._branches:
                taken = [branch.flow(branch.outputs[node.args[1]]) for branch in self._branches[cond]]
                each = [
                    (
                        _joined(flows[cond.args[3][i]][0] for i in surely),
                        _joined(flows[cond.args[3][i]][1] for i in perhaps),
                    )
                    for surely, perhaps in taken
                ]
                flows[node] = each[0][0] & each[1][0], each[0][1] | each[1][1]
            else:
                given = node.all_input_nodes[:1] if _name(node) in _OF_ANOTHER else node.all_input_nodes
                flows[node] = _joined(flows[one][0] for one in given), _joined(flows[one][1] for one in given)
        return flows


def _joined(parts: Iterable[frozenset[int]]) -> frozenset[int]:
    return frozenset[int]().union(*parts)


def _branch(graph_module: fx.GraphModule) -> _Level:
    if reason := traced_wrongly(graph_module):
        raise Unsafe(reason)
    for node in graph_module.graph.nodes:
        if torch_internals.is_control_flow(node.target) and not _is_choice(node):
            raise Unsafe(f"a branch has a {_name(node)}")
        value = _tensor(node)
        if value is not None and value.is_complex():
            raise Unsafe("a branch computes with complex numbers")
    level = _Level(graph_module)
    level.check_alone()
    if torch_internals.draws_when_run(graph_module):
        raise Unsafe("a branch draws random numbers")
    _without_copies(level)
    graph_module.recompile()
    return level


def _without_copies(level: _Level) -> None:
    """Return what a branch made itself, in place of a copy of it."""
    given = {level.memory(node) for node in level.inputs}
    results = [_before_copy(result) for result in level.outputs]
    found = [level.memory(result) for result in results]
    for position, result in enumerate(level.outputs):
        before = results[position]
        if before is result or found[position] in given or found.count(found[position]) > 1:
            continue
        if len(result.users) == 1 and not any(map(written_nodes, before.users)):
            result.replace_all_uses_with(before)
            level.graph.erase_node(result)
            level.outputs[position] = before


def _are_alike(first: torch.Tensor | None, *others: torch.Tensor | None) -> bool:
    def same(one: torch.Tensor | None, other: torch.Tensor | None) -> bool:
        if one is None or other is None or (one.dtype, one.device) != (other.dtype, other.device):
            return False
        sizes = torch_internals.same_shape(one.shape, other.shape)
        return sizes and torch_internals.same_shape(one.stride(), other.stride())

    return all(same(first, other) for other in others)


def _before_copy(result: Any) -> Any:
    """What the copy that ``handed_out`` makes is one of."""
    copies = isinstance(result, fx.Node) and result.op == "call_method" and result.target == "clone"
    return result.args[0] if copies and "memory_format" in result.kwargs else result


def _name(node: fx.Node) -> str:
    return node.target if isinstance(node.target, str) else str(getattr(node.target, "__name__", ""))


# Which take the second tensor for its size or kind.
_OF_ANOTHER = ("expand_as", "view_as", "reshape_as", "type_as", "new_zeros", "new_ones", "new_full", "new_tensor")
