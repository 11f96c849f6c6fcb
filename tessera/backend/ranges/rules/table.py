"""All rules, by the name of the operation. What is not in it can compute anything."""

from __future__ import annotations

from tessera.backend.ranges.question import Rule
from tessera.backend.ranges.rules import (
    arithmetic,
    choices,
    layers,
    pointwise,
    powers,
    products,
    reductions,
    sources,
    views,
)

RULES: dict[str, Rule] = {
    **pointwise.RULES,
    **arithmetic.RULES,
    **powers.RULES,
    **reductions.RULES,
    **products.RULES,
    **views.RULES,
    **choices.RULES,
    **sources.RULES,
    **layers.RULES,
}
