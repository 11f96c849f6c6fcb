"""Functions of one value."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from tests.backend.ranges.rules.expected import INF, Expected

CASES = [
    Expected("sigmoid of anything", torch.sigmoid, 0, 1, (0, 1), None),
    Expected("tanh of anything", torch.tanh, -1, 1, (-1, 1), None),
    Expected("sigmoid", torch.sigmoid, 0.5, 1 / (1 + math.exp(-2)), (0.5, 1 / (1 + math.exp(-2))), (0, 2)),
    Expected("negated", torch.neg, -2, 1, (-2, 1)),
    Expected("log of positive", torch.log, 0, math.log(3), (0, math.log(3)), (1, 3)),
    Expected("log of anything", torch.log, -INF, INF, None, None),
    Expected("sqrt", torch.sqrt, 0, math.sqrt(2), (0, math.sqrt(2))),
    Expected("relu of anything", torch.relu, 0, INF, (0, 1), None),
    Expected("relu", torch.relu, 0, 2, (0, 2)),
    Expected("abs of anything", torch.abs, 0, INF, (0, 1), None),
    Expected("abs", torch.abs, 0, 2, (0, 2)),
    Expected("abs of an exp is not zero by accident", lambda x: x.exp().abs(), 0, INF, None, None),
    Expected("cos of anything", torch.cos, -1, 1, (-1, 1), None),
    Expected("cos of little", torch.cos, math.cos(0.1), 1, (math.cos(0.1), 1), (-0.1, 0.1)),
    Expected("sin of little", torch.sin, -math.sin(0.1), math.sin(0.1), (-math.sin(0.1), math.sin(0.1)), (-0.1, 0.1)),
    Expected("cosh", torch.cosh, 1, math.cosh(2), (1, math.cosh(2))),
    Expected("elu", F.elu, -1, 2, None),
    Expected("gelu", F.gelu, -0.17, INF, None, None),
    Expected("softplus", F.softplus, 0, INF, None, None),
    Expected("reciprocal", torch.reciprocal, 0.25, 2, (0.25, 2), (0.5, 4)),
    Expected("rsqrt", torch.rsqrt, 0.5, 2, (0.5, 2), (0.25, 4)),
    Expected("leaky relu", F.leaky_relu, -0.01, 2, (-0.01, 2)),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_function_of_one_value(case):
    case.check()
