"""The forward of a function or module as the graph that is analysed: as it is written, nothing decomposed."""

from __future__ import annotations

import inspect
import itertools
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import fx

from tessera import torch_internals
from tessera.backend.ranges.interpret import constant_range, unknown
from tessera.backend.ranges.question import dtype_of
from tessera.backend.ranges.value_range import Range, between
from tessera.errors import SettingError


@dataclass(frozen=True)
class Traced:
    """A graph, and what is known of its placeholders.

    Attributes:
        graph: functional operations of ATen.
        given: what is known of its placeholders.
        root: what its ``get_attr`` nodes read from; None where there are none.
        asked: whether the code branched on a tensor.
    """

    graph: fx.Graph
    given: dict[fx.Node, Range]
    root: torch.nn.Module | None = None
    asked: bool = False

    def attribute(self, name: str) -> Any:
        """What a ``get_attr`` node reads."""
        return operator.attrgetter(name)(self.root)


def trace_forward(
    function: Callable[..., Any],
    inputs: tuple[Any, ...],
    keywords: Mapping[str, Any],
    ranges: Mapping[int | str, tuple[float, float]],
    *,
    answer: bool = False,
) -> Traced:
    """Trace ``function(*inputs, **keywords)`` on tensors without data.

    Args:
        function: a function or a module; its parameters and buffers become inputs.
        inputs: tensors, real or not, and anything else.
        keywords: likewise.
        ranges: of an input by position, or by the name of an argument.
        answer: which way ``if tensor:`` goes.
    """
    state = _state(function)
    leaves, rebuild = torch_internals.flattened((inputs, dict(keywords)))
    at = [i for i, leaf in enumerate(leaves) if isinstance(leaf, torch.Tensor)]
    tensors = [leaves[i] for i in at]

    def forward(*flat: torch.Tensor) -> Any:
        given = list(leaves)
        for i, value in zip(at, flat[len(state) :], strict=True):
            given[i] = value
        args, kwargs = rebuild(given)
        with values, torch_internals.PythonLines():
            if isinstance(function, torch.nn.Module):
                result = torch.func.functional_call(function, dict(zip(state, flat, strict=False)), args, kwargs)
            else:
                result = function(*args, **kwargs)
        return torch_internals.tensors_in(result)

    values = torch_internals.NoValues(answer=answer)
    everything = [*state.values(), *tensors]
    graph_module = torch_internals.trace_as_written(forward, everything)
    placeholders = list(graph_module.graph.find_nodes(op="placeholder"))
    given: dict[fx.Node, Range] = {}
    for node, value in zip(placeholders, everything, strict=True):
        given[node] = constant_range(value) if len(given) < len(state) else unknown(value.dtype)
    names = _names(function, inputs, keywords)
    if unknown_names := set(ranges) - set().union(*names.values()):
        raise SettingError(
            f"A range was given for {', '.join(map(repr, unknown_names))}.",
            "It belongs to an argument of the call, by position or name.",
            f"Write one of {', '.join(repr(name) for name in dict.fromkeys(itertools.chain(*names.values())))}.",
        )
    for key, (low, high) in ranges.items():
        for i, node in zip(at, placeholders[len(state) :], strict=True):
            if key in names.get(i, ()) and dtype_of(node) is not None:
                given[node] = between(float(low), float(high)).changed(data=True)
    return Traced(graph_module.graph, given, graph_module, values.asked)


def _state(function: Any) -> dict[str, torch.Tensor]:
    if not isinstance(function, torch.nn.Module):
        return {}
    return {**dict(function.named_parameters()), **dict(function.named_buffers())}


def _names(function: Any, inputs: tuple[Any, ...], keywords: Mapping[str, Any]) -> dict[int, set[int | str]]:
    """Leaf -> the positions and names that a range of it may be declared under."""
    body = function.forward if isinstance(function, torch.nn.Module) else function
    try:
        parameters = [p.name for p in inspect.signature(body).parameters.values()]
    except (TypeError, ValueError):
        parameters = []
    names: dict[int, set[int | str]] = {}
    leaf = 0
    for position, value in enumerate(inputs):
        here: set[int | str] = {position}
        if position < len(parameters):
            here.add(parameters[position])
        for _ in torch_internals.flattened(value)[0]:
            names[leaf] = here
            leaf += 1
    for name, value in keywords.items():
        for _ in torch_internals.flattened(value)[0]:
            names[leaf] = {name}
            leaf += 1
    return names


def trace_captured(captured: fx.GraphModule, inputs: Sequence[Any]) -> Traced:
    """The same for a graph that Dynamo captured, whose lines are kept. What it holds itself becomes inputs too."""
    sizes = [torch_internals.size_hint(value) for value in inputs]
    at = [i for i, value in enumerate(inputs) if isinstance(value, torch.Tensor)]
    held = _held(captured)

    def forward(*flat: torch.Tensor) -> Any:
        given = list(sizes)
        for i, value in zip(at, flat[len(held) :], strict=True):
            given[i] = value
        run = _Holding(captured, dict(zip(held, flat, strict=False)))
        return torch_internals.tensors_in(run.run(*given))

    graph_module = torch_internals.trace_as_written(forward, [*held.values(), *(inputs[i] for i in at)])
    placeholders = graph_module.graph.find_nodes(op="placeholder")
    given: dict[fx.Node, Range] = {}
    names = [node.name for node in captured.graph.find_nodes(op="placeholder")]
    for node, value in zip(placeholders, held.values(), strict=False):
        given[node] = constant_range(value)
    for node, i in zip(placeholders[len(held) :], at, strict=True):
        value = inputs[i]
        is_state = isinstance(value, (torch.nn.Parameter, torch.nn.Buffer)) or "_buffers_" in names[i]
        given[node] = constant_range(value) if is_state else unknown(value.dtype)
    return Traced(graph_module.graph, given, graph_module)


class _Holding(fx.Interpreter):
    """Runs a graph with other tensors in place of those that it holds: an optimizer's state is written to."""

    def __init__(self, captured: fx.GraphModule, held: Mapping[str, torch.Tensor]) -> None:
        super().__init__(captured)
        self._instead = held

    def fetch_attr(self, target: str) -> Any:
        return self._instead[target] if target in self._instead else super().fetch_attr(target)


def _held(captured: fx.GraphModule) -> dict[str, torch.Tensor]:
    names = [str(node.target) for node in captured.graph.find_nodes(op="get_attr")]
    values = {name: operator.attrgetter(name)(captured) for name in names}
    return {name: value for name, value in values.items() if isinstance(value, torch.Tensor)}
