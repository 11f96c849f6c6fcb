"""Activations are computed again in the backward instead of being kept, as far as a memory budget demands.

    before   h = mm(x, w);  y = gelu(h)     ...     dh = gelu_backward(dy, h)
    after    h = mm(x, w);  y = gelu(h)     ...     x2 = fence(x, dy);  h2 = mm(x2, w);  dh = gelu_backward(dy, h2)

`memory/plan.py` chooses what, by a simulation of the whole step: forward, backward and update. Of a plan that is to be
taken Inductor writes the code, which is run without data; one that does not keep the budget is not taken. Random
numbers are never drawn twice. Promise: close, for what is computed again may be fused in another way.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace

from tessera import torch_internals
from tessera.backend.memory.free import free_memory
from tessera.backend.memory.impossible import impossible_budget
from tessera.backend.memory.liveness import Liveness, size_of
from tessera.backend.memory.marked import recompute_marked
from tessera.backend.memory.plan import Plan, carry_out, plans
from tessera.backend.memory.rehearsal import rehearse
from tessera.backend.memory.together import layout
from tessera.backend.passes.chunk_rows import chunk_rows
from tessera.backend.passes.outline_regions import outline_regions
from tessera.backend.rewrite import Pass
from tessera.program import MemoryBudget, Program, copy_graph, in_words, source_line

_MARGIN = 0.9  # of the memory that is free: what "auto" takes
_CHUNK = 1 << 23  # bytes of a wide product at a time, where memory is what counts
_UNSEEN = 0.13  # of what is allowed: what code may take more than the simulation says
_TRIES = 3  # plans of which code is written because they should keep the budget, and because nothing smaller is known


def recompute(program: Program) -> int:
    """Compute activations again that are marked, and until the step keeps its budget; returns how many."""
    return recompute_marked(program) + _keep_budget(program)


def _keep_budget(program: Program) -> int:
    budget = program.memory_budget
    if budget is None or budget.share == 1:
        return 0
    allowed = _allowed(program, budget)
    simulated = Liveness(program.graph).peak().size
    if budget.automatic and (allowed is None or simulated <= _MARGIN * allowed):
        return 0
    unlimited = _peak_of_code(program)
    if allowed is None:
        allowed = int((budget.share or 1) * unlimited)
    if unlimited <= allowed:
        return 0
    chunked, chunks = _in_small_chunks(program)
    found = _search(chunked, allowed)
    if found.peak > allowed and not budget.automatic:
        raise impossible_budget(program, budget, found.plan.peak, found.peak, unlimited)
    program.graph_module = found.program.graph_module
    program.notes += _notes(budget, found, unlimited)
    return len(found.plan.dropped) + chunks


@dataclass(frozen=True)
class _Found:
    """A plan, the Program that carries it out, and the peak of its code."""

    plan: Plan
    program: Program
    peak: int


def _allowed(program: Program, budget: MemoryBudget) -> int | None:
    """Bytes that the step may allocate besides its inputs; None where that depends on what it allocates now."""
    if budget.size is not None:
        return budget.size - sum(map(size_of, program.placeholders))
    if budget.share is not None:
        return None
    free = free_memory(program.placeholders[0].meta["val"].device)
    return None if free is None else int(_MARGIN * free)


def _in_small_chunks(program: Program) -> tuple[Program, int]:
    """Wide products in chunks, where that helps: it costs less than to compute anything again; and how many."""
    chunked = replace(program, graph_module=copy_graph(program.graph_module))
    chunks = chunk_rows(chunked, 2 * _CHUNK, _CHUNK)
    helps = Liveness(chunked.graph).peak().size < Liveness(program.graph).peak().size
    return (chunked, chunks) if helps else (program, 0)


def _search(program: Program, allowed: int) -> _Found:
    """The first plan whose code keeps within ``allowed`` bytes; where none does, that of the smallest peak."""
    unseen = int(_UNSEEN * allowed)
    untried: list[Plan] = []
    tried: list[_Found] = []
    for plan in plans(program):
        if plan.peak.size + unseen > allowed or len(tried) == _TRIES:
            untried.append(plan)
            continue
        tried.append(_carried_out(program, plan))
        if tried[-1].peak <= allowed:
            return tried[-1]
        unseen = max(unseen, tried[-1].peak - plan.peak.size)
    for plan in sorted(untried, key=lambda one: one.peak.size)[:_TRIES]:
        tried.append(_carried_out(program, plan))
        if tried[-1].peak <= allowed:
            break
    return min(tried, key=lambda one: one.peak)


def _carried_out(program: Program, plan: Plan) -> _Found:
    made = carry_out(program, plan)
    return _Found(plan, made, _peak_of_code(made))


def _peak_of_code(program: Program) -> int:
    """Bytes that the code allocates at once, which Inductor writes for the Program."""
    inputs = [node.meta["val"] for node in program.placeholders]
    twin = replace(program, graph_module=copy_graph(program.graph_module), notes=[])
    try:
        outline_regions(twin)  # as will be done with it
        with torch_internals.in_graph_order(), torch_internals.without_vectors():  # which take time, and no memory
            source = torch_internals.wrapper_source(copy_graph(twin.graph_module), inputs)
    except Exception:  # one of Inductor's own patterns may fail on a graph that is right
        source = ""
    rehearsal = rehearse(source, inputs)
    return Liveness(program.graph).peak().size if rehearsal is None else layout(rehearsal).peak


def _notes(budget: MemoryBudget, found: _Found, unlimited: int) -> list[str]:
    names = Counter(str(source_line(node) or node.target) for node in found.plan.dropped)
    head = f"memory budget {budget}: {len(found.plan.dropped)} values are computed again, the peak of what is allocated"
    saved = f"{head} is {in_words(found.peak)}, not {in_words(unlimited)}"
    return [saved, *(f"  {count} at {place}" for place, count in names.most_common())]


RECOMPUTE = Pass("recompute", "close", recompute)
