"""What is known to go wrong in the numbers of an annotated function, among the findings of its check."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch

from tessera import torch_internals
from tessera.backend.ranges.check_numerics import check_numerics
from tessera.check.arguments import make_arguments
from tessera.check.finding import Finding
from tessera.check.run import Plan
from tessera.check.world import World
from tessera.shapes.signature import Contract, specs_in


def numerics_findings(function: Callable[..., Any], contract: Contract, plan: Plan) -> Iterator[Finding]:
    """Findings about numbers, with the ranges that the annotations declare (``tessera.between``).

    Args:
        function: what is called.
        contract: of it.
        plan: sizes, choices and dtypes of a run that came to its end.
    """
    args, kwargs = make_arguments(contract, World(plan.examples, in_numbers=True), plan.choice, plan.dtypes)
    args, kwargs = torch_internals.on_leaves(_without_memory, (args, kwargs))
    ranges: dict[int | str, tuple[float, float]] = {}
    for name, expected in contract.parameters.items():
        declared = [spec.values for spec in specs_in(expected) if spec.values is not None]
        if declared:
            ranges[name] = (min(v.low for v in declared), max(v.high for v in declared))
    for found in check_numerics(function, *args, ranges=ranges, **kwargs):
        if found.where is not None:
            why = f"{found.known} {found.consequence}"
            yield Finding(
                "numerics", found.severity, contract.name, found.where, why, fixes=(found.stable or found.fix,)
            )


def _without_memory(value: Any) -> Any:
    """A real tensor of the same shape, of one element."""
    if not isinstance(value, torch.Tensor):
        return value
    return torch.zeros((), dtype=value.dtype).expand(value.shape)
