"""What the rest of a function says of how likely an edit of one call is."""

from __future__ import annotations

import re

from tessera.check.call import Call
from tessera.check.rewrites import FRESH, Rewrite, adds
from tessera.check.run import Outcome

# In edits of one number, as in ``rewrites``.
BEFORE = 0.05  # more, for a dimension that the line before would have added
AGREES = 0.1  # less, for letters that another einsum writes and that nothing agreed with


def added(rewrite: Rewrite, call: Call, base: Outcome) -> float:
    """What an edit costs more, or less, than one of its kind.

    Args:
        rewrite: the edit.
        call: that it is of.
        base: the run that made the call.
    """
    if call.name == "einsum":
        return -AGREES if _agrees(rewrite.text, call, base) else 0.0
    return BEFORE if _is_better_added_before(rewrite, call, base) else 0.0


def _is_better_added_before(rewrite: Rewrite, call: Call, base: Outcome) -> bool:
    """Whether an edit adds a dimension to what an earlier line took apart or numbered, see ``rewrites.FRESH``."""
    made = base.history.made_by(rewrite.operand) if rewrite.operand is not None and adds(rewrite.text) else None
    return made is not None and made.name in FRESH and made.where != call.where


def _agrees(text: str, call: Call, base: Outcome) -> bool:
    """Whether an equation names a tensor as another einsum does, where so far none does: bsht->bshd takes bsht."""
    old, new = _operands(str(call.args[0])), _operands(text)
    others = [_operands(str(c.args[0])) for c in base.history.calls if c.name == "einsum" and c.where != call.where]
    elsewhere = {letters for operands in others for letters in operands}
    changed = [(a, b) for a, b in zip(old, new, strict=False) if a != b]
    return bool(changed) and all(b in elsewhere and a not in elsewhere for a, b in changed)


def _operands(equation: str) -> list[str]:
    return re.findall(r"\w+", equation.replace(" ", ""))
