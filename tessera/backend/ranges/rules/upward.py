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


def upward(q: Question, value: Any, sign: int = 1, left: int = _DEEPEST) -> float:
    """The largest ordinary magnitude above 0, of a sum that of its largest term; below 0 where ``sign`` is -1."""
    name = operation(value)
    if not isinstance(value, fx.Node) or left == 0:
        return _size(q, value, sign)
    first, *rest = (*value.args, None)
    other = rest[0]
    if name in _SHOWS:
        return upward(q, first, sign, left - 1)
    if name == "neg":
        return upward(q, first, -sign, left - 1)
    if name in ("add", "sub") and not value.kwargs:
        theirs = -sign if name == "sub" else sign
        return max(upward(q, first, sign, left - 1), upward(q, other, theirs, left - 1))
    if name in ("mul", "div") and not value.kwargs:
        factor = q.range_of(other).exact
        if factor and isinstance(first, fx.Node):
            scale = abs(factor) if name == "mul" else 1 / abs(factor)
            return scale * upward(q, first, sign if factor > 0 else -sign, left - 1)
    return _size(q, value, sign)


def _size(q: Question, value: Any, sign: int) -> float:
    known = q.range_of(value)
    return 0.0 if (known.high if sign > 0 else -known.low) <= 0 else known.size
