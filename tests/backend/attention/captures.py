"""What Dynamo captures of a function, and the function that an early pass makes of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, fx

from tessera.backend.attention.forward_trace import ForwardTrace, trace_forward
from tessera.backend.passes.fuse_attention import fuse_attention
from tessera.backend.rewrite import Captured


def capture(function: Callable[..., Any], *inputs: Tensor) -> Captured:
    """The graph of ``function``, for inputs like these."""
    found: list[Captured] = []

    def backend(graph_module: fx.GraphModule, examples: Sequence[Any]) -> Callable[..., Any]:
        found.append(Captured("test", graph_module, examples, abroad=True))
        return graph_module.forward

    torch.compiler.reset()
    torch.compile(function, backend=backend, fullgraph=True)(*inputs)
    (captured,) = found
    return captured


def traced(function: Callable[..., Any], *inputs: Tensor) -> ForwardTrace:
    """The ATen operations of ``function``."""
    captured = capture(function, *inputs)
    trace = trace_forward(captured.graph_module, captured.inputs)
    assert trace is not None
    return trace


def fused(function: Callable[..., Any], *inputs: Tensor) -> tuple[int, list[str], Callable[..., Any]]:
    """How many attentions were rewritten, the notes, and the function that came of it."""
    matched, notes = 0, []

    def backend(graph_module: fx.GraphModule, examples: Sequence[Any]) -> Callable[..., Any]:
        nonlocal matched
        captured = Captured("test", graph_module, examples, abroad=True)
        matched += fuse_attention(captured)
        notes.extend(captured.notes)
        graph_module.graph.lint()
        graph_module.recompile()
        return graph_module.forward

    torch.compiler.reset()
    rewritten = torch.compile(function, backend=backend, fullgraph=True)
    rewritten(*inputs)
    return matched, notes, rewritten
