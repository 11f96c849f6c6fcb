"""Runs the pipeline over a Program: verification, timing and the Report, once for all passes."""

from __future__ import annotations

import copy
import logging
import time
from collections.abc import Sequence

from torch import fx

from tessera.backend.pipeline import PIPELINE
from tessera.backend.rewrite import Pass
from tessera.backend.verify import verify
from tessera.program import PassRecord, Program

logger = logging.getLogger("tessera")


def run_pipeline(program: Program, passes: Sequence[Pass] = PIPELINE) -> list[PassRecord]:
    """Rewrite ``program`` in place by every pass in order and return what each one did.

    A pass that raises or breaks an invariant is undone, recorded and left out: the job goes on without it.
    """
    verify(program)
    return [_run(rewrite, program) for rewrite in passes]


def _run(rewrite: Pass, program: Program) -> PassRecord:
    before, started = program.operations(), time.perf_counter()
    saved = _copy(program.graph_module)
    note = ""
    try:
        matches = rewrite.apply(program)
        if matches:
            program.graph.eliminate_dead_code()
            verify(program)
            program.graph_module.recompile()
    except Exception as error:  # a pass may be anyone's code: whatever it raises, the job goes on without it
        program.graph_module = saved
        matches, note = 0, f"left out: {type(error).__name__}: {error}"
        logger.warning("pass %s was left out of %s: %s", rewrite.name, program.name, error)
    seconds = time.perf_counter() - started
    return PassRecord(rewrite.name, rewrite.promise, matches, seconds, before, program.operations(), note)


def _copy(graph_module: fx.GraphModule) -> fx.GraphModule:
    # A shallow copy of the graph: metadata values (fake tensors, symbols) are shared, they are never changed in place.
    graph = fx.Graph()
    returned = graph.graph_copy(graph_module.graph, mapping := {})
    graph.output(returned)
    for old, new in mapping.items():
        new.meta = copy.copy(old.meta)
    graph.output_node().meta = copy.copy(graph_module.graph.output_node().meta)
    return fx.GraphModule(graph_module, graph)


