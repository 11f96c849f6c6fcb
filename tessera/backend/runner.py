"""Runs the pipeline over a Program: verification, timing and the Report, once for all passes."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence

from torch import fx

from tessera import torch_internals
from tessera.backend.bug_report import write_bug_report
from tessera.backend.own_passes import watched
from tessera.backend.passes.outline_regions import OUTLINE_REGIONS
from tessera.backend.pipeline import BEFORE_AUTOGRAD, PIPELINE
from tessera.backend.ranges.warn import warned_about
from tessera.backend.rewrite import Captured, EarlyPass, Pass
from tessera.backend.verify import verify
from tessera.errors import MemoryBudgetError
from tessera.program import PassRecord, Program, copy_graph, copy_nodes

logger = logging.getLogger("tessera")


def run_pipeline(
    program: Program, passes: Sequence[Pass] = PIPELINE, own_passes: Sequence[Pass] = ()
) -> list[PassRecord]:
    """Rewrite ``program`` in place by every pass in order, then the user's own, and return what each one did.

    A pass that raises or breaks an invariant is undone, recorded and left out: the job goes on without it, and what is
    needed to find out why is written to the cache folder.
    """
    verify(program)
    records: list[PassRecord] = []
    own = [watched(rewrite) for rewrite in own_passes]
    last = [rewrite for rewrite in passes if rewrite is OUTLINE_REGIONS]  # regions hide what is in them
    saved = None
    for rewrite in (*(rewrite for rewrite in passes if rewrite not in last), *own, *last):
        if saved is None:  # copying takes longer than most passes, and most leave the graph alone
            saved = copy_nodes(program.graph)
        records.append(_run(rewrite, program, saved))
        if records[-1].matches or program.graph is saved or rewrite in own:
            saved = None
    return records


def _run(rewrite: Pass, program: Program, saved: fx.Graph) -> PassRecord:
    before, started = program.operations(), time.perf_counter()
    owner, note = program.graph_module, ""
    try:
        matches = rewrite.apply(program)
        if matches:
            program.graph.eliminate_dead_code()
            verify(program)
            program.graph_module.recompile()
        elif rewrite.looks_for:
            note = f"found none: {rewrite.looks_for}"
    except MemoryBudgetError:  # the user's to answer
        raise
    except Exception as error:  # a pass may be anyone's code: whatever it raises, the job goes on without it
        graphs = {"before": saved, "after": program.graph}
        inputs = [f"{value.name}: {value.role}" for value in program.inputs]
        written = write_bug_report(rewrite.name, program.name, error, graphs, inputs)
        program.graph_module = fx.GraphModule(owner, saved)
        place = f"; a bug report is in {written}" if written else ""
        matches, note = 0, f"left out: {type(error).__name__}: {error}{place}"
        logger.warning("pass %s was left out of %s: %s%s", rewrite.name, program.name, error, place)
    seconds = time.perf_counter() - started
    return PassRecord(rewrite.name, rewrite.promise, matches, seconds, before, program.operations(), note)


def run_before_autograd(captured: Captured, passes: Sequence[EarlyPass] = BEFORE_AUTOGRAD) -> list[PassRecord]:
    """Rewrite what was captured by every early pass; like ``run_pipeline``, but that its graph is replaced.

    What is known to go wrong in the numbers of what results is warned about, stable forms aside.
    """
    if torch_internals.transforms_inside(captured.graph_module.graph):
        return []  # nodes enter and leave levels of vmap and grad there: no part of it can be traced or moved
    records = [_run_early(rewrite, captured) for rewrite in passes]
    captured.notes += warned_about(captured.graph_module, captured.inputs)
    return records


def _run_early(rewrite: EarlyPass, captured: Captured) -> PassRecord:
    started = time.perf_counter()
    saved, note = captured.graph_module, ""
    before = _calls(saved)
    captured.graph_module = copy_graph(saved)
    try:
        matches = rewrite.apply(captured)
        captured.graph_module.graph.lint()
        captured.graph_module.recompile()
    except Exception as error:  # likewise
        matches, note = 0, f"left out: {type(error).__name__}: {error}"
        logger.warning("pass %s was left out of %s: %s", rewrite.name, captured.name, error)
    if not matches:
        captured.graph_module = saved
    seconds = time.perf_counter() - started
    return PassRecord(rewrite.name, rewrite.promise, matches, seconds, before, _calls(captured.graph_module), note)


def _calls(graph_module: fx.GraphModule) -> int:
    return sum(node.op in ("call_function", "call_method") for node in graph_module.graph.nodes)
