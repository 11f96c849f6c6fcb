"""Values that are chosen by a comparison."""

from __future__ import annotations

import pytest
import torch

from tests.backend.ranges.rules.expected import INF, Expected

ONE = torch.ones(())
CASES = [
    Expected("a comparison", lambda x: x > 0, 0, 1, (0, 1), None),
    Expected("either", lambda x: torch.where(x.sin() > 0, x, 5.0), -1, 5, (-1, 5)),
    Expected("where positive", lambda x: torch.where(x > 0.5, x, ONE), 0.5, 2, (0.5, 2)),
    Expected("where not negative", lambda x: torch.where(x < 0, ONE, x), 0, 2, (0, 2)),
    Expected("where in between", lambda x: torch.where((x > 0) & (x < 1), x, ONE), 0, 1, (0, 1)),
    Expected("where not", lambda x: torch.where(~(x < 0), x, ONE), 0, 2, (0, 2)),
    Expected("filled where zero", lambda x: (x > 0).sum(1).masked_fill((x > 0).sum(1) == 0, 1), 1, 8, (1, 8), None),
    Expected("filled", lambda x: x.masked_fill(x.sin() > 0, 7.0), -1, 7, (-1, 7)),
    Expected("an infinite mask", lambda x: x.masked_fill(x.sin() > 0, -INF), -INF, 2, None),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_choice(case):
    case.check()
