"""The table: every rule, in the order in which they are tried."""

from __future__ import annotations

from tessera.backend.stability.algebra import Algebra, Value
from tessera.backend.stability.rule import Rule
from tessera.backend.stability.rules.conventions import CONVENTIONS
from tessera.backend.stability.rules.differences import DIFFERENCES
from tessera.backend.stability.rules.log_products import LOG_PRODUCTS
from tessera.backend.stability.rules.logarithms import LOGARITHMS
from tessera.backend.stability.rules.low_precision import LOW_PRECISION
from tessera.backend.stability.rules.quotients import QUOTIENTS
from tessera.backend.stability.rules.removable import REMOVABLE
from tessera.backend.stability.rules.rescaled import RESCALED

TABLE: tuple[Rule, ...] = (
    *LOGARITHMS,
    *DIFFERENCES,
    *REMOVABLE,  # before a length in a divisor is written as one: sin(|x|) / |x|
    *QUOTIENTS,
    *RESCALED,
    *CONVENTIONS,
    *LOW_PRECISION,
    *LOG_PRODUCTS,
)

_BY_OPERATION: dict[str, list[Rule]] = {}
for _rule in TABLE:
    _BY_OPERATION.setdefault(_rule.on, []).append(_rule)


def stable(algebra: Algebra, value: Value) -> tuple[Rule, Value] | None:
    """A stable form of ``value`` and the rule that found it."""
    if value.op == "squeeze":
        found = stable(algebra, value.args[0])
        return found and (found[0], algebra.make("squeeze", found[1], value.args[1]))
    if value.op == "linear" and value.args[0] == 0 and len(value.args[1]) == 1:
        ((term, factor),) = value.args[1]
        if (found := _found(algebra, term, term.op)) is not None:
            return found[0], algebra.scale(found[1], factor)
        return _found(algebra, value, "product")
    return _found(algebra, value, value.op)


def _found(algebra: Algebra, value: Value, op: str) -> tuple[Rule, Value] | None:
    for rule in _BY_OPERATION.get(op, ()):
        if (found := rule.find(algebra, value)) is not None and found is not value:
            return rule, found
    return None
