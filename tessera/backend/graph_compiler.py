"""A graph through Inductor, with what Tessera gives its code to work with: a memory pool, faster products."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Sequence
from typing import Any

from torch import fx

from tessera import torch_internals
from tessera.backend.memory_pool import MemoryPool
from tessera.backend.products import prefers_onednn, with_products
from tessera.backend.regions.inline import has_regions, inline_regions, results_share_memory
from tessera.backend.tail_stores import writes_past_the_end
from tessera.program import copy_graph

logger = logging.getLogger("tessera")


def compile_graph(
    graph_module: fx.GraphModule,
    inputs: Sequence[Any],
    inductor: torch_internals.PieceCompiler = torch_internals.compile_with_inductor,
) -> tuple[torch_internals.InductorOutput, list[str]]:
    """What Inductor makes of a graph, and notes where its first answer would not do; ``inputs`` are fake."""
    output, notes = _compiled(graph_module, inputs, inductor)
    torch_internals.replace_name(output, "empty_strided_cpu", lambda _: MemoryPool().allocate)
    if prefers_onednn():
        torch_internals.replace_name(output, "extern_kernels", with_products)
    return output, notes


def _compiled(
    graph_module: fx.GraphModule, inputs: Sequence[Any], inductor: torch_internals.PieceCompiler
) -> tuple[torch_internals.InductorOutput, list[str]]:
    if has_regions(graph_module):
        output = _with_regions(graph_module, inputs, inductor)
        if output is not None:
            return output, []
        graph_module = copy_graph(graph_module)
        inline_regions(graph_module)
    with contextlib.ExitStack() as settings:
        settings.enter_context(torch_internals.describing_calls())
        try:
            output = inductor(copy_graph(graph_module), inputs)
        except Exception:  # one of Inductor's own patterns may fail on a graph that is right
            settings.enter_context(torch_internals.without_patterns())
            output = inductor(copy_graph(graph_module), inputs)
        if not writes_past_the_end(output.source):
            return output, []
        settings.enter_context(torch_internals.without_vectors())
        output = inductor(copy_graph(graph_module), inputs)
        return output, ["compiled again without vectors, which would have written past a buffer (torch issue 196681)"]


def _with_regions(
    graph_module: fx.GraphModule, inputs: Sequence[Any], inductor: torch_internals.PieceCompiler
) -> torch_internals.InductorOutput | None:
    """None where it would not be right, or Inductor refuses."""
    try:
        with torch_internals.describing_calls():
            output = inductor(copy_graph(graph_module), inputs)
    except Exception as error:  # written out it compiles like any other graph
        logger.warning("regions are written out again: %s", error)
        return None
    wrong = writes_past_the_end(output.source) or results_share_memory(output.source)
    return None if wrong else output
