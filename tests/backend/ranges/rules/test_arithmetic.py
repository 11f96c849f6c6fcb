"""Functions of two values."""

from __future__ import annotations

import pytest
import torch

from tests.backend.ranges.asking import X, range_of
from tests.backend.ranges.rules.expected import INF, Expected

CASES = [
    Expected("plus a number", lambda x: x + 3, 2, 5, (2, 5)),
    Expected("minus a number", lambda x: x - 3, -4, -1, (-4, -1)),
    Expected("from a number", lambda x: 1 - x, -1, 2, (-1, 2)),
    Expected("times a number", lambda x: -2 * x, -4, 2, (-4, 2)),
    Expected("times nothing", lambda x: 0 * x, 0, 0, (0, 0), None),
    Expected("over a number", lambda x: x / 4, -0.25, 0.5, (-0.25, 0.5)),
    Expected("a number over it", lambda x: 4 / x, 2, 8, (2, 8), (0.5, 2)),
    Expected("cut off", lambda x: x.clamp(0, 1), 0, 1, (0, 1), None),
    Expected("cut off below", lambda x: x.clamp(min=0), 0, INF, (0, 1), None),
    Expected("cut off above", lambda x: x.clamp(max=0.5), -1, 0.5, (-1, 0.5)),
    Expected("the larger", lambda x: torch.maximum(x, torch.zeros(())), 0, 2, (0, 2)),
    Expected("a mask times anything", lambda x: (x > 0) * torch.sinh(x), -INF, INF, (0, 0), None),
    Expected("a remainder", lambda x: x % 3, 0, 3, (0, 3), None),
    Expected("two of the same source", lambda x: x.sigmoid() + x.sigmoid().sqrt(), 0, 2, None, None),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_function_of_two_values(case):
    case.check()


def test_what_is_independent_reaches_its_ends_at_once():
    found = range_of(lambda x, y: x + y, X, X, x=(0.0, 1.0), y=(2.0, 3.0))
    assert (found.low, found.high, found.reached) == (2.0, 4.0, (2.0, 4.0))
    found = range_of(lambda x, y: x * y, X, X, x=(-1.0, 1.0), y=(2.0, 3.0))
    assert found.reached == (-3.0, 3.0)
    found = range_of(lambda x, y: x / y, X, X, x=(-1.0, 1.0), y=(2.0, 4.0))
    assert found.reached == (-0.5, 0.5)
    assert not range_of(lambda x, y: x / y, X, X, y=(-1.0, 1.0)).bounded
