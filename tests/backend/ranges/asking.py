"""Ask the range analysis about one function."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import fx

from tessera.backend.ranges.check_numerics import check_numerics
from tessera.backend.ranges.interpret import Interpretation, interpret
from tessera.backend.ranges.trace import trace_forward
from tessera.backend.ranges.value_range import Range


def interpreted(function: Callable[..., Any], *inputs: Any, **ranges: tuple[float, float]) -> tuple[Any, fx.Graph]:
    """What is known of every node, and the graph."""
    traced = trace_forward(function, inputs, {}, ranges)
    graph = traced.graph
    return interpret(graph, traced.given, traced.attribute), graph


def returned(graph: fx.Graph) -> fx.Node:
    """The first tensor that is returned."""
    tensors: Any = graph.output_node().args[0]
    return tensors[0]


def range_of(function: Callable[..., Any], *inputs: Any, **ranges: tuple[float, float]) -> Range:
    """What is known of what the function returns."""
    found: Interpretation
    found, graph = interpreted(function, *inputs, **ranges)
    return found.of(returned(graph))


def kinds(function: Callable[..., Any], *inputs: Any, **ranges: tuple[float, float]) -> list[str]:
    """The kinds of what is found, in order."""
    return [str(finding.kind) for finding in check_numerics(function, *inputs, ranges=ranges)]


X = torch.ones(4, 8)
HALF = torch.ones(4, 8, dtype=torch.float16)
