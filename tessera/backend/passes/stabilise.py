"""Expressions that are wrong in floating point become what they are on paper; done before there is a backward.

    before   p = sigmoid(x);  loss = -(y * log(p) + (1 - y) * log(1 - p))       inf and NaN for |x| > 17 in float32
    after    loss = -(y * logsigmoid(x) + (1 - y) * logsigmoid(-x))             so that its gradient is stable too

What counts is what is computed (see ``stability/``): a graph is read as values of a small algebra, in which the
spellings of one thing are one, and the rules of ``stability/table.py`` are looked up for each. What the naive spelling
computed and others use stays as well. What cancels on purpose, as in compensated sums, is left alone; so is every
``eps`` of the user's. What no rule knows and float32 is wrong for is computed in float64 (``stability/wider.py``), on
devices that have it, and the Report says so; it names what could not be tried. Promise: close, for where the naive
spelling is right both are.

References:
    Higham, Accuracy and Stability of Numerical Algorithms, 2nd ed., 2002.
    Panchekha et al., Automatically improving accuracy for floating point expressions, 2015 (Herbie).
"""

from __future__ import annotations

from tessera.backend.rewrite import Captured, EarlyPass
from tessera.backend.stability.inner_graphs import rewrite_all
from tessera.backend.stability.wider import UNTRIED

SHOWN = 3  # places


def stabilise(captured: Captured) -> int:
    """Rewrite every unstable expression; returns how many."""
    if not captured.stabilise:
        return 0
    found = rewrite_all(captured.graph_module)
    done = [one for one in found if not one.startswith(UNTRIED)]
    captured.notes += [f"stabilised {one}" for one in done]
    if untried := list(dict.fromkeys(one.removeprefix(UNTRIED) for one in found if one not in done)):
        places = ", ".join(untried[:SHOWN]) + (" and elsewhere" if len(untried) > SHOWN else "")
        captured.notes.append(f"not tried for its accuracy, as too long or too large:{places}")
    return len(done)


STABILISE = EarlyPass("stabilise", "close", stabilise)
