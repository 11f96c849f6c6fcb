"""Derivatives of the derivatives of what was compiled: AOTAutograd's backward has none.

(slope,) = torch.autograd.grad(compiled(x).sum(), x, create_graph=True)
(slope.norm() - 1).square().backward()

    x -> compiled forward -> y            x -> compiled forward -> y
    dx <- compiled backward <- dy    =>   dx <- autograd <- the graph, run once more as PyTorch runs it <- dy, x

The first derivative is computed again, with its own, only where autograd records what a backward computes. What it is
computed from is kept by the node of the backward until it frees its graph; a hook there would cost every call more.
"""

from __future__ import annotations

import functools
import operator
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import fx

from tessera import torch_internals
from tessera.backend.unsafe_graphs import writes_in_place
from tessera.random.state import get_state, set_state


def twice_differentiable(
    compiled: Callable[..., Any], plain: Callable[..., Any], graph_module: fx.GraphModule
) -> Callable[..., Any]:
    """``compiled``, whose gradients have gradients themselves where that can be.

    Args:
        compiled: a graph from Dynamo behind AOTAutograd.
        plain: the same graph as PyTorch runs it.
        graph_module: the graph.
    """
    if not _can_run_again(graph_module):
        return compiled
    layout: _Layout | None = None
    seen = False
    names = [node.name for node in graph_module.graph.find_nodes(op="placeholder")]
    state = frozenset(place for place, name in enumerate(names) if "_buffers_" in name)

    def call(*values: Any) -> Any:
        nonlocal layout, seen
        if seen:
            results = compiled(*values)
        else:
            before, results = _versions(values), compiled(*values)
            if not torch.is_grad_enabled():
                return results
            seen = True
            if before == _versions(values) and not torch_internals.is_under_any_autocast():
                layout = _Layout.of(plain, values, results, state)
        if layout is not None and (node := results[layout.first].grad_fn) is not None:
            node.tessera_given = layout.kept(values)
        return results

    return call


@dataclass(frozen=True)
class _Layout:
    """What all calls of a graph have in common, as their guards see to.

    Attributes:
        plain: the graph as PyTorch runs it.
        tensors: takes the tensors from the arguments.
        fixed: the places there of tensors without a gradient, beside the state of modules.
        asked_for: the places of those, beside parameters, that are to have a gradient.
        first: the place of the first result that the compiled backward is behind.
        behind: for each input of that backward, the place of the result that it is the gradient of.
    """

    plain: Callable[..., Any]
    tensors: Callable[[Sequence[Any]], tuple[Any, ...]]
    fixed: list[int]
    asked_for: list[int]
    first: int
    behind: dict[int, int]

    @classmethod
    def of(
        cls, plain: Callable[..., Any], values: Sequence[Any], results: Sequence[Any], state: frozenset[int]
    ) -> _Layout | None:
        """That of a call; None where no compiled backward is behind it. From now on that backward asks ``_again``."""
        tensors = [place for place, value in enumerate(values) if isinstance(value, torch.Tensor)]
        nodes = {place: value.grad_fn for place, value in enumerate(results) if isinstance(value, torch.Tensor)}
        own = [place for place, node in nodes.items() if torch_internals.is_compiled_backward(node)]
        if not own:
            return None
        behind = {results[place].output_nr: place for place in own if nodes[place] is nodes[own[0]]}
        others = [place for place in tensors if not isinstance(values[place], torch.nn.Parameter)]
        asked_for = [place for place in others if values[place].requires_grad]
        fixed = [place for place in others if place not in asked_for and place not in state]
        take: Any = tuple  # quicker, and numbers are rare
        if len(tensors) < len(values):
            take = operator.itemgetter(*tensors, tensors[0])  # of one place it would not make a tuple
        layout = cls(plain, take, fixed, asked_for, own[0], behind)
        torch_internals.wrap_compiled_backward(nodes[own[0]], functools.partial(_backward, layout))
        return layout

    def kept(self, values: Sequence[Any]) -> tuple[list[Any], list[int]]:
        """The arguments of a call, in a form that does not lead to its backward, and how often each was written to."""
        kept = list(values)
        for place in self.fixed:  # it may be written to later, and have a gradient then
            kept[place] = kept[place].detach()
        for place in self.asked_for:
            if not kept[place].is_leaf:
                kept[place] = weakref.ref(kept[place])
        return kept, _written(self.tensors(values))

    def as_given(self, kept: list[Any], versions: list[int]) -> list[Any]:
        """The arguments again; none where one of them is gone, or was written to."""
        values = [value() if isinstance(value, weakref.ref) else value for value in kept]
        given = self.tensors(values)
        if any(value is None for value in given) or _written(given) != versions:
            return []
        return values


def _written(tensors: Sequence[Any]) -> list[int]:
    """How often each was written to."""
    return [tensor._version for tensor in tensors]  # noqa: SLF001 - torch's count has no other name


def _can_run_again(graph_module: fx.GraphModule) -> bool:
    """Whether a graph from Dynamo, run once more, only computes, as far as its operators tell."""
    targets = [node.target for node in graph_module.graph.nodes if node.op == "call_function"]
    of_others = any(torch_internals.is_operator(t) and t.namespace not in ("aten", "prims", "tessera") for t in targets)
    return torch.is_grad_enabled() and not of_others and not writes_in_place(graph_module)


def _versions(values: Sequence[Any]) -> list[int] | None:
    """None where not all tensors count what is written to them."""
    given = [value for value in values if isinstance(value, torch.Tensor)]
    return None if any(t.is_inference() for t in given) else _written(given)


def _backward(layout: _Layout, compiled: Callable[..., Any], node: Any, given: Sequence[Any]) -> Any:
    """What the node of a compiled backward runs: its results, from the graph where they are to be differentiated."""
    kept = getattr(node, "tessera_given", None)
    if not torch.is_grad_enabled():
        if kept is not None and not torch_internals.keeps_graph():
            node.tessera_given = None
        return compiled()
    slopes = compiled()  # says what is wrong with a graph that was freed
    values = layout.as_given(*kept) if kept is not None else []
    return (_again(layout, node, values, slopes, given) if values else None) or slopes


def _again(
    layout: _Layout, node: Any, values: list[Any], slopes: Sequence[Any], given: Sequence[Any]
) -> Sequence[Any] | None:
    known = [i for i, slope in enumerate(given) if slope is not None and (i in layout.behind or not _is_nothing(slope))]
    sources = {
        torch_internals.gradient_edge(value): value
        for value in values
        if isinstance(value, torch.Tensor) and value.requires_grad
    }
    edges = [edge for edge in node.next_functions if edge[0] is not None]
    if not (sources.keys() >= set(edges) and layout.behind.keys() >= set(known)):
        return None
    before = get_state()
    results = layout.plain(*values)
    if not _same(before, get_state()):  # it draws random numbers, which are others now
        set_state(before)
        return None
    different = list(dict.fromkeys(edges))
    found = torch.autograd.grad(
        [results[layout.behind[i]] for i in known],
        [sources[edge] for edge in different],
        [given[i] for i in known],
        create_graph=True,
        allow_unused=True,
    )
    by_edge = dict(zip(different, found, strict=True))  # what was given twice gets all of it in its first place
    ordered = iter(edges)
    asked = [next(ordered) if needs else None for needs in node.needs_input_grad]
    pairs = zip(slopes, asked, strict=True)
    return tuple(None if slope is None else by_edge.pop(edge, None) for slope, edge in pairs)


def _is_nothing(slope: torch.Tensor) -> bool:
    """Whether no gradient came in: autograd makes zeros of that."""
    return not (slope.requires_grad or slope.any())


def _same(before: Any, now: Any) -> bool:
    both = zip(torch_internals.tensors_in(before), torch_internals.tensors_in(now), strict=True)
    return all(torch.equal(one, other) for one, other in both)
