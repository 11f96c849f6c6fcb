"""A run that came to its end as the graph whose numbers are analysed: the program need not run again for that."""

from __future__ import annotations

import operator
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import fx

from tessera import torch_internals
from tessera.backend.ranges.interpret import constant_range, unknown
from tessera.backend.ranges.trace import Traced
from tessera.backend.ranges.value_range import Range, between

Ranges = Mapping[int | str, tuple[float, float]]


@dataclass(frozen=True)
class Operation:
    """One operation of ATen, with the lines of Python that called it and what was noted for its node."""

    target: Any
    args: Sequence[Any]
    kwargs: Mapping[str, Any]
    result: Any
    lines: Sequence[str]
    custom: Mapping[str, Any]


@dataclass
class Recording:
    """The operations of a run, in order.

    Attributes:
        is_usable: whether they are recorded, and tell the run.
        state: each tensor that stood for one with data, by its id, and that one.
    """

    is_usable: bool
    operations: list[Operation] = field(default_factory=list)
    state: dict[int, tuple[torch.Tensor, torch.Tensor]] = field(default_factory=dict)
    _lines: Sequence[str] | None = None  # of Python, of the call of torch that is running

    @contextmanager
    def of_call(self, lines: Sequence[str]) -> Iterator[None]:
        """Operations within belong to a call of torch that was made from these lines of Python."""
        before, self._lines = self._lines, lines
        try:
            yield
        finally:
            self._lines = before

    def note(self, target: Any, args: Sequence[Any], kwargs: Mapping[str, Any], result: Any) -> None:
        """An operation was run."""
        if not self.is_usable or self._lines is None or target.namespace == "prim":  # that asks for a device
            return
        if not torch_internals.tensors_in(result) or torch_internals.writes(target):
            self.give_up()
            return
        custom = fx.traceback.current_meta.get("custom") or {}
        self.operations.append(Operation(target, args, kwargs, result, self._lines, dict(custom)))

    def give_up(self) -> None:
        """The operations alone do not tell the run: data was asked for, or something was written in place."""
        self.is_usable = False
        self.operations.clear()


def as_graph(recording: Recording, arguments: Mapping[str, Any], result: Any, ranges: Ranges) -> Traced | None:
    """The run as a functional graph with its sizes as numbers.

    Args:
        recording: of the run.
        arguments: of it, by name.
        result: of it.
        ranges: of arguments, by name.

    Returns:
        None where the recording was given up, or a tensor came from elsewhere.
    """
    if not recording.is_usable:
        return None
    graph = fx.Graph()
    nodes: dict[int, fx.Node] = {}
    given: dict[fx.Node, Range] = {}
    named = {id(tensor): name for name, value in arguments.items() for tensor in torch_internals.tensors_in(value)}

    mode = torch_internals.new_fake_mode()

    def in_numbers(value: Any) -> Any:
        if not isinstance(value, torch.Tensor) or all(type(_number(size)) is type(size) for size in value.shape):
            return value
        with mode:
            return torch_internals.without_data(value)

    def placeholder(tensor: torch.Tensor, known: Range) -> fx.Node:
        node = nodes[id(tensor)] = graph.placeholder(f"input_{len(given)}")
        node.meta["val"], given[node] = in_numbers(tensor), known
        return node

    def node_of(value: Any) -> Any:
        if not isinstance(value, torch.Tensor):
            return _number(value)
        if (known := nodes.get(id(value))) is not None:
            return known
        if (name := named.get(id(value))) is not None:
            declared = ranges.get(name)
            return placeholder(value, between(*declared).changed(data=True) if declared else unknown(value.dtype))
        if (original := recording.state.get(id(value))) is not None:
            return placeholder(value, constant_range(original[1]))
        raise _FromElsewhere

    try:
        for one in recording.operations:
            args, kwargs = torch_internals.on_leaves(node_of, (tuple(one.args), dict(one.kwargs)))
            node = graph.call_function(one.target, args, kwargs)
            val = torch_internals.on_leaves(in_numbers, one.result)
            node.meta |= {"val": val, "stack_trace": "".join(one.lines), "custom": one.custom}
            _name_results(graph, node, one.result, nodes)
        graph.output([node_of(tensor) for tensor in torch_internals.tensors_in(result)])
    except _FromElsewhere:
        return None
    return Traced(graph, given)  # no module: to write its code takes as long as the analysis


class _FromElsewhere(Exception):
    """A tensor that is no argument, no state, and no result; a number that depends on data."""


def _name_results(graph: fx.Graph, node: fx.Node, result: Any, nodes: dict[int, fx.Node]) -> None:
    if isinstance(result, torch.Tensor):
        nodes[id(result)] = node
    elif isinstance(result, (tuple, list)):
        for at, item in enumerate(result):
            if isinstance(item, torch.Tensor):
                part = nodes[id(item)] = graph.call_function(operator.getitem, (node, at))
                part.meta |= {**node.meta, "val": node.meta["val"][at]}


def _number(value: Any) -> Any:
    number = torch_internals.size_hint(value)
    if number is None and value is not None:
        raise _FromElsewhere
    return number
