"""How many there are of what no annotation counts: items of a list, and which keywords ``**named`` is given.

Three items are tried first, and two keywords of any name. What only their number or name made fail proves nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from tessera.check.run import Outcome, Plan
from tessera.shapes.signature import Contract, Expected, FieldsOf, MappingOf, OptionalOf, SequenceOf, TupleOf

_OTHERS = (2, 4, 1, 5, 6)
_QUOTED = re.compile(r"'(\w+)'")


def other_counts(outcome: Outcome, contract: Contract) -> Iterator[tuple[Plan, str]]:
    """Plans with as many items in lists, and with the keywords, that the function asks for.

    Args:
        outcome: the run that raised.
        contract: of the function.

    Yields:
        A plan, and what it takes for granted.
    """
    plan, error = outcome.plan, outcome.error
    if outcome.place is None or not outcome.place.by_user:
        return
    if isinstance(error, (ValueError, IndexError)) and any(map(_has_list, contract.parameters.values())):
        for items in _OTHERS:
            yield replace(plan, items=items), f"{contract.name}: taken for granted that a list has {items} items"
    keywords = [one for one in contract.signature.parameters.values() if one.kind is one.VAR_KEYWORD]
    if any(one.name in contract.parameters for one in keywords):
        if isinstance(error, KeyError) and isinstance(key := error.args[0], str) and key not in plan.named:
            yield replace(plan, named=(*plan.named, key)), ""
        elif isinstance(error, TypeError):
            told = _QUOTED.findall(str(error))
            left = tuple(key for key in plan.named if key not in told)
            yield replace(plan, named=(*left, *told) if "missing" in str(error) else left), ""


def asks_for_others(again: Outcome, outcome: Outcome) -> bool:
    """Whether a run with other keywords than the one before failed for keywords once more."""
    of_keywords = isinstance(again.error, (TypeError, KeyError)) and again.plan.named != outcome.plan.named
    return of_keywords and str(again.error) != str(outcome.error)


def _has_list(expected: Expected | None) -> bool:
    """Whether there is a list in it, or several arguments of one name."""
    match expected:
        case SequenceOf():
            return True
        case OptionalOf(inner) | MappingOf(inner):
            return _has_list(inner)
        case TupleOf(items):
            return any(map(_has_list, items))
        case FieldsOf(fields=fields):
            return any(map(_has_list, fields.values()))
    return False
