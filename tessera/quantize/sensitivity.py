"""Which layers have to stay as they are for a metric to stay within a budget: found by measuring each alone."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence

import torch

from tessera.errors import QuantizeError

Metric = Callable[[torch.nn.Module], float]


def too_sensitive(
    build: Callable[[Collection[str]], torch.nn.Module],
    paths: Sequence[str],
    metric: Metric,
    before: float,
    budget: float,
) -> dict[str, float]:
    """The fewest of the most sensitive layers without which the rest keeps the budget, each with its own drop.

    Args:
        build: the model with these layers quantized.
        paths: of all layers that are to be quantized.
        metric: the larger the better.
        before: of the model as it was.
        budget: by how much the metric may fall.

    Raises:
        QuantizeError: not even the least sensitive layer alone keeps the budget.
    """

    def drop(chosen: Collection[str]) -> float:
        found = before - float(metric(build(chosen)))
        return math.inf if math.isnan(found) else found

    if drop(paths) <= budget:
        return {}
    alone = {path: drop([path]) for path in paths}
    order = sorted(paths, key=lambda path: -alone[path])
    fewest, enough = 1, len(order)
    while fewest < enough:
        middle = (fewest + enough) // 2
        if drop(order[middle:]) <= budget:
            enough = middle
        else:
            fewest = middle + 1
    if enough == len(order):
        raise QuantizeError(
            f"The metric falls by {alone[order[-1]]:.4g} with {order[-1]!r} alone, the least sensitive layer, "
            f"and max_metric_drop={budget:g} was passed.",
            "At least one layer can be quantized within the budget.",
            "Raise max_metric_drop, or choose a finer format such as target='int8-weight'.",
        )
    return {path: alone[path] for path in order[:enough]}
