"""How far above 0 a sum comes where its inputs are of ordinary size: a square that is subtracted adds nothing to that.

exp(2 * x @ y.T - x2 - y2)      the squares are large, and of the wrong sign to overflow
"""

from __future__ import annotations

from typing import Any

from torch import fx

from tessera.backend.ranges.identity import operation
from tessera.backend.ranges.question import Question

_DEEPEST = 16
_SHOWS = {"unsqueeze", "expand", "view", "_unsafe_view", "squeeze", "detach", "alias", "clone", "t", "transpose"}


def upward(q: Question, value: Any) -> float:
    """The largest ordinary magnitude above 0; of a sum that of its largest term."""
    known: dict[tuple[Any, int], float] = {}

    def largest(value: Any, sign: int, left: int) -> float:
        if (value, sign) not in known:
            known[value, sign] = of_terms(value, sign, left)
        return known[value, sign]

    def of_terms(value: Any, sign: int, left: int) -> float:
        name = operation(value)
        if not isinstance(value, fx.Node) or left == 0 or value.kwargs:
            return _size(q, value, sign)
        first, other = (*value.args, None, None)[:2]
        if name in _SHOWS:
            return largest(first, sign, left - 1)
        if name == "neg":
            return largest(first, -sign, left - 1)
        if name in ("add", "sub"):
            return max(largest(first, sign, left - 1), largest(other, -sign if name == "sub" else sign, left - 1))
        factor = q.range_of(other).exact if name in ("mul", "div") else None
        if factor and isinstance(first, fx.Node):
            scale = abs(factor) if name == "mul" else 1 / abs(factor)
            return scale * largest(first, sign if factor > 0 else -sign, left - 1)
        return _size(q, value, sign)

    return largest(value, 1, _DEEPEST)


def _size(q: Question, value: Any, sign: int) -> float:
    known = q.range_of(value)
    return 0.0 if (known.high if sign > 0 else -known.low) <= 0 else known.size
