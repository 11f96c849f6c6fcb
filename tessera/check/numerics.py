"""What is known to go wrong in the numbers of an annotated function, among the findings of its check."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch

from tessera import torch_internals
from tessera.backend.ranges.analyse import findings_of
from tessera.backend.ranges.check_numerics import check_numerics
from tessera.backend.ranges.finding import NumericsFinding
from tessera.check.arguments import make_arguments
from tessera.check.finding import Finding
from tessera.check.recorded import Ranges, as_graph
from tessera.check.run import Outcome, Plan
from tessera.check.world import World
from tessera.shapes.signature import Contract, specs_in


def numerics_findings(function: Callable[..., Any], contract: Contract, outcome: Outcome) -> Iterator[Finding]:
    """Findings about numbers, with the ranges that the annotations declare (``tessera.between``).

    Args:
        function: what was called.
        contract: of it.
        outcome: of a run that came to its end.
    """
    ranges: dict[int | str, tuple[float, float]] = {}
    for name, expected in contract.parameters.items():
        declared = [spec.values for spec in specs_in(expected) if spec.values is not None]
        if declared:
            ranges[name] = (min(v.low for v in declared), max(v.high for v in declared))
    traced = as_graph(outcome.world.recording, outcome.arguments, outcome.result, ranges)
    if traced is not None:
        all_found = findings_of(traced.graph, traced.given, traced.attribute)
    else:
        all_found = _traced_again(function, contract, outcome.plan, ranges)
    for found in all_found:
        if found.where is not None:
            why = f"{found.known} {found.consequence}"
            yield Finding(
                "numerics", found.severity, contract.name, found.where, why, fixes=(found.stable or found.fix,)
            )


def _traced_again(
    function: Callable[..., Any], contract: Contract, plan: Plan, ranges: Ranges
) -> list[NumericsFinding]:
    args, kwargs = make_arguments(
        contract, World(plan.examples, in_numbers=True, items=plan.items, named=plan.named), plan.choice, plan.dtypes
    )
    args, kwargs = torch_internals.on_leaves(_without_memory, (args, kwargs))
    return check_numerics(function, *args, ranges=ranges, **kwargs)


def _without_memory(value: Any) -> Any:
    """A real tensor of the same shape, of one element."""
    if not isinstance(value, torch.Tensor):
        return value
    return torch.zeros((), dtype=value.dtype).expand(value.shape)
