"""Sums, means, extremes, norms and products over dims."""

from __future__ import annotations

import math

import pytest
import torch

from tests.backend.ranges.asking import X, range_of
from tests.backend.ranges.rules.expected import INF, Expected

POSITIVE = (0.5, 2.0)
CASES = [
    Expected("sum", lambda x: x.sum(1), 4, 16, (4, 16), POSITIVE),
    Expected("sum of both signs", lambda x: x.sum(1), -8, 16, (-math.sqrt(8), 2 * math.sqrt(8))),
    Expected("mean", lambda x: x.mean(), 0.5, 2, (0.5, 2), POSITIVE),
    Expected("largest", lambda x: x.amax(0), -1, 2, (-1, 2)),
    Expected("least", lambda x: x.min(0).values, -1, 2, (-1, 2)),
    Expected("deviation of anything", lambda x: x.std(0), 0, INF, (0, 1), None),
    Expected("norm of anything", lambda x: x.norm(dim=1), 0, INF, (0, 1), None),
    Expected("norm", lambda x: x.norm(dim=1), 0, 2 * math.sqrt(8), (0, 2)),
    Expected("norm of what is not zero", lambda x: x.norm(dim=1), 0.5, 2 * math.sqrt(8), None, POSITIVE),
    Expected("product of parts", lambda x: x.prod(1), 0, 1, (0, 1), (0, 1)),
    Expected("product", lambda x: x.prod(1), 0, 256, (1 / 256, 256), POSITIVE),
    Expected("softmax", lambda x: x.softmax(1), 0, 1, (0, 1), None),
    Expected("softmax of one", lambda x: x[:, :1].softmax(1), 1, 1, (1, 1), None),
    Expected("softmax sums to 1", lambda x: x.softmax(1).sum(1), 0.125, 1, (0.125, 1), None),
    Expected("the largest of a softmax", lambda x: x.softmax(1).amax(1), 0.125, 1, (0.125, 1), None),
    Expected("the largest of another dim", lambda x: (x - x.amax(1, keepdim=True)).amax(0), -3, 0, (0, 0)),
    Expected("the two largest", lambda x: x.softmax(1).topk(2, 1).values.sum(1), 0.125, 1, (0.125, 1), None),
    Expected("log softmax", lambda x: x.log_softmax(1), -INF, 0, None, None),
    Expected("running sum", lambda x: x.cumsum(1), 0.5, 16, (0.5, 16), POSITIVE),
    Expected("running product of parts", lambda x: x.cumprod(1), 0, 1, None, (0, 1)),
    Expected("distances to itself", lambda x: torch.cdist(x, x), 0, INF, (0, 1), None),
    Expected("count", lambda x: (x > 0).sum(1), 0, 8, (0, 8), None),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_reduction(case):
    case.check()


def test_weights_are_not_all_zero_by_accident():
    weight = torch.nn.Parameter(torch.ones(4, 8))
    assert not range_of(lambda x: (x @ weight.T).norm(dim=1), X).reaches_zero
    assert range_of(lambda x: (x @ weight.T).std(dim=1), X).reaches_zero
