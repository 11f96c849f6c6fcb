"""Derivatives of the derivatives of what was compiled: AOTAutograd's backward has none.

(slope,) = torch.autograd.grad(compiled(x).sum(), x, create_graph=True)
(slope.norm() - 1).square().backward()

    x -> compiled forward -> y            x -> compiled forward -> y
    dx <- compiled backward <- dy    =>   dx <- autograd <- the graph, run once more as PyTorch runs it <- dy, x

The first derivative is computed again, with its own, only where autograd records what a backward computes. A call that
may lead there costs some microseconds more, so it is one with an argument, beside parameters, that a gradient is wanted
of and that is nobody's result. An ordinary batch has none.
"""

from __future__ import annotations

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
                layout = _Layout.of(plain, values, results)
        if layout is None or not any(values[place].is_leaf for place in layout.asked_for):
            return results
        if (node := results[layout.first].grad_fn) is not None:
            # A hook for what comes out would have autograd copy all gradients that it adds to weights.
            node.register_prehook(_Again(layout, values, node))
        return results

    return call


@dataclass(frozen=True)
class _Layout:
    """What all calls of a graph have in common, as their guards see to.

    Attributes:
        plain: the graph as PyTorch runs it.
        parameters: the places of the parameters among its arguments.
        others: the places of other tensors there.
        asked_for: the places of those of them that are to have a gradient.
        first: the place of the first result that the compiled backward is behind.
        behind: for each input of that backward, the place of the result that it is the gradient of.
    """

    plain: Callable[..., Any]
    parameters: list[int]
    others: list[int]
    asked_for: list[int]
    first: int
    behind: dict[int, int]

    @classmethod
    def of(cls, plain: Callable[..., Any], values: Sequence[Any], results: Sequence[Any]) -> _Layout | None:
        """That of a call; None where no compiled backward is behind it."""
        tensors = [place for place, value in enumerate(values) if isinstance(value, torch.Tensor)]
        parameters = [place for place in tensors if isinstance(values[place], torch.nn.Parameter)]
        nodes = {place: value.grad_fn for place, value in enumerate(results) if isinstance(value, torch.Tensor)}
        own = [place for place, node in nodes.items() if torch_internals.is_compiled_backward(node)]
        if not own:
            return None
        behind = {results[place].output_nr: place for place in own if nodes[place] is nodes[own[0]]}
        others = [place for place in tensors if place not in parameters]
        asked_for = [place for place in others if values[place].requires_grad]
        return cls(plain, parameters, others, asked_for, own[0], behind)


def _can_run_again(graph_module: fx.GraphModule) -> bool:
    """Whether a graph from Dynamo, run once more, only computes, as far as its operators tell."""
    targets = [node.target for node in graph_module.graph.nodes if node.op == "call_function"]
    of_others = any(torch_internals.is_operator(t) and t.namespace not in ("aten", "prims", "tessera") for t in targets)
    return torch.is_grad_enabled() and not of_others and not writes_in_place(graph_module)


def _versions(values: Sequence[Any]) -> list[int] | None:
    """None where not all tensors count what is written to them."""
    given = [value for value in values if isinstance(value, torch.Tensor)]
    return None if any(t.is_inference() for t in given) else [t._version for t in given]  # noqa: SLF001 - torch's count has no other name


class _Again:
    """A hook of a compiled backward: its results, from the graph itself where they are to be differentiated."""

    __slots__ = ("_layout", "_node", "_others", "_values", "_versions")

    def __init__(self, layout: _Layout, values: Sequence[Any], node: Any) -> None:
        self._layout, self._node = layout, weakref.ref(node)
        self._others = [_Kept(values[place]) for place in layout.others]
        # What a backward holds must not lead to the backward itself: of other tensors than parameters nothing is kept.
        self._values = list(values)
        for place in layout.others:
            self._values[place] = None
        self._versions = [values[place]._version for place in layout.parameters]  # noqa: SLF001 - as above

    def __call__(self, _: Sequence[Any]) -> None:
        """Before the backward."""
        if not torch.is_grad_enabled():
            if not torch_internals.keeps_graph():
                self._values, self._others = [], []
        elif (node := self._node()) is not None and (values := self._as_given()):
            handles: list[Any] = []

            def after(slopes: Sequence[Any], given: Sequence[Any]) -> Sequence[Any] | None:
                handles.pop().remove()
                return self._again(node, values, slopes, given)

            handles.append(node.register_hook(after))

    def _again(self, node: Any, values: list[Any], slopes: Sequence[Any], given: Sequence[Any]) -> Sequence[Any] | None:
        layout, known = self._layout, [i for i, slope in enumerate(given) if slope is not None]
        sources = {
            torch_internals.gradient_edge(value): value
            for value in values
            if isinstance(value, torch.Tensor) and value.requires_grad
        }
        edges = list(dict.fromkeys(edge for edge in node.next_functions if edge[0] is not None))
        if not (sources.keys() >= set(edges) and layout.behind.keys() >= set(known)):
            return None
        before = get_state()
        results = layout.plain(*values)
        if not _same(before, get_state()):  # it draws random numbers, which are others now
            set_state(before)
            return None
        found = torch.autograd.grad(
            [results[layout.behind[i]] for i in known],
            [sources[edge] for edge in edges],
            [given[i] for i in known],
            create_graph=True,
            allow_unused=True,
        )
        by_edge = dict(zip(edges, found, strict=True))  # what was given twice gets all of it in its first place
        pairs = zip(slopes, node.next_functions, strict=True)
        return tuple(None if slope is None else by_edge.pop(edge, None) for slope, edge in pairs)

    def _as_given(self) -> list[Any]:
        """The arguments; none where one of them is gone, or was written to."""
        values, layout = self._values, self._layout
        if not values:  # a backward that freed the graph came before
            return []
        now = [values[place]._version for place in layout.parameters]  # noqa: SLF001 - as above
        others = [kept() for kept in self._others]
        if now != self._versions or any(other is _GONE for other in others):
            return []
        as_given = list(values)
        for place, other in zip(layout.others, others, strict=True):
            as_given[place] = other
        return as_given


def _same(before: Any, now: Any) -> bool:
    both = zip(torch_internals.tensors_in(before), torch_internals.tensors_in(now), strict=True)
    return all(torch.equal(one, other) for one, other in both)


class _Kept:
    """A tensor that was given; one that has a gradient and is not a leaf only for as long as others keep it."""

    __slots__ = ("_reference", "_source", "_tensor", "_version")

    def __init__(self, tensor: torch.Tensor) -> None:
        self._version, self._source = tensor._version, tensor.grad_fn  # noqa: SLF001 - as above
        self._tensor: torch.Tensor | None = None
        if not tensor.requires_grad:  # it may be written to later, and have a gradient then
            self._tensor = tensor.detach()
        elif self._source is None:
            self._tensor = tensor
        else:
            self._reference = weakref.ref(tensor)

    def __call__(self) -> Any:
        """The tensor, or a sign that it is gone or was written to."""
        tensor = self._reference() if self._tensor is None else self._tensor
        if tensor is None or tensor.grad_fn is not self._source:
            return _GONE
        return tensor if tensor._version == self._version else _GONE  # noqa: SLF001 - as above


_GONE = object()
