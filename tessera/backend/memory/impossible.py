"""The error of a memory budget that no plan keeps: the smallest one that there is, and what holds it up."""

from __future__ import annotations

from collections import Counter

from tessera.backend.memory.liveness import Peak, size_of
from tessera.errors import MemoryBudgetError
from tessera.program import MemoryBudget, Program, Role, in_words, source_line

_NAMED = {
    Role.PARAMETER: "parameters",
    Role.BUFFER: "buffers",
    Role.OPTIMIZER_STATE: "optimizer state",
    Role.ACCUMULATOR: "sums of gradients",
    Role.BATCH: "batch",
}


def impossible_budget(
    program: Program, budget: MemoryBudget, simulated: Peak, peak: int, unlimited: int
) -> MemoryBudgetError:
    """What to raise.

    Args:
        simulated: the peak of the best plan, and what it consists of.
        peak: bytes that the code of that plan allocates.
        unlimited: the same without a budget.
    """
    peak = min(peak, unlimited)  # where recomputation saves nothing, the smallest budget is none
    inputs: Counter[str] = Counter()
    for node, value in zip(program.placeholders, program.inputs, strict=True):
        inputs[_NAMED.get(value.role, "other inputs")] += size_of(node)
    parts = [f"{in_words(size)} of {name}" for name, size in inputs.most_common() if size]
    largest = max(simulated.held, key=lambda node: simulated.held[node])
    share = -(-100 * peak // max(1, unlimited)) / 100
    total = sum(inputs.values()) + peak
    smallest = f"{share:g}" if budget.share is not None else repr(in_words(total))
    return MemoryBudgetError(
        f"memory_budget={budget} was passed.",
        f"The {program.name} needs {in_words(total)} at least: {', '.join(parts)}, and {in_words(peak)} that it"
        f" allocates at its peak, of which the largest is {in_words(simulated.held[largest])} for {largest.target}.",
        f"Write memory_budget={smallest}, or make the batch smaller.",
        source_line(largest),
    )
