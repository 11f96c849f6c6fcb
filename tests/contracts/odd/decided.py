"""How programs are called whose conditionals a tensor decides: with values of either side."""

from __future__ import annotations

from tests.contracts.odd.recorder import grid

BOTH_WAYS = (1.0, -1.0, 0.2, -0.1, 3.0)  # what the grid is multiplied by: a condition holds for some of them


def each_way(r, function, *, slopes=True, times=BOTH_WAYS):
    """Call what is compiled for values of either side, without and with gradients (no batch of a step has any)."""
    compiled = r.compile(function)
    for sign in times:
        compiled(sign * grid())
    for sign in times if slopes and r.way != "step" else ():
        compiled((sign * grid()).requires_grad_())
    return compiled
