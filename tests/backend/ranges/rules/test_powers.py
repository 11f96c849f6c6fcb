"""Powers and exponentials."""

from __future__ import annotations

import math

import pytest
import torch

from tests.backend.ranges.rules.expected import INF, Expected

CASES = [
    Expected("squared", lambda x: x**2, 0, 4, (0, 4)),
    Expected("times itself", lambda x: x * x, 0, 4, (0, 4)),
    Expected("squared, of anything", torch.square, 0, INF, (0, 1), None),
    Expected("cubed", lambda x: x**3, -1, 8, (-1, 8)),
    Expected("the root", lambda x: x**0.5, 0, math.sqrt(2), (0, math.sqrt(2))),
    Expected("to the power -1", lambda x: x**-1, 0.25, 2, (0.25, 2), (0.5, 4)),
    Expected("to the power -2", lambda x: x**-2, 0.0625, 4, (0.0625, 4), (0.5, 4)),
    Expected("to the power 0", lambda x: x**0, 1, 1, (1, 1), None),
    Expected("exp", torch.exp, 1 / math.e, math.exp(2), (1 / math.e, math.exp(2))),
    Expected("exp of anything", torch.exp, 0, INF, None, None),
    Expected("exp of what is not positive", lambda x: torch.exp(-x.abs()), 0, 1, (math.exp(-1), 1), None),
    Expected("2 to the power", lambda x: 2**x, 0.5, 4, (0.5, 4)),
    Expected("exp less its largest", lambda x: torch.exp(x - x.amax()).sum(), 1, 32, (32, 32), None),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_power(case):
    case.check()


def test_the_square_of_weights_is_not_zero_by_accident():
    weight = torch.nn.Parameter(torch.ones(4, 8))
    Expected("product", lambda x: (x @ weight.T).square(), 0, INF, (1, 1), None).check()
