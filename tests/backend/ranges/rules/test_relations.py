"""Where both operands come from the same values."""

from __future__ import annotations

import pytest
import torch

from tests.backend.ranges.rules.expected import INF, Expected

CASES = [
    Expected("less itself", lambda x: x.exp() - x.exp(), 0, 0, (0, 0), None),
    Expected("over itself", lambda x: x.exp() / x.exp(), 1, 1, (1, 1), None),
    Expected("less the largest", lambda x: x - x.amax(1, keepdim=True), -INF, 0, (0, 0), None),
    Expected("less the largest of max", lambda x: x - x.max(1, keepdim=True)[0].detach(), -INF, 0, (0, 0), None),
    Expected("less the logsumexp", lambda x: x - x.logsumexp(1, keepdim=True), -INF, 0, (0, 0), None),
    Expected("the largest less it", lambda x: x.max() - x, 0, INF, (0, 1), None),
    Expected("less the least", lambda x: x - x.min(), 0, INF, (0, 1), None),
    Expected("the span", lambda x: x.amax(1) - x.amin(1), 0, 3, (0, 2)),
    Expected("less the mean", lambda x: x - x.mean(1, keepdim=True), -INF, INF, (-1, 1), None),
    Expected(
        "the largest of a log softmax less it",
        lambda x: x.log_softmax(0).amax() - x.log_softmax(0),
        0,
        INF,
        (0, 1),
        None,
    ),
    Expected("differences of pairs", lambda x: x[:, None] - x[None], -INF, INF, (-1, 1), None),
    Expected("over the norm", lambda x: x / x.norm(), -1, 1, (-1, 1), None),
    Expected("over the norm and something", lambda x: x / (x.norm() + 1e-6), -1, 1, (-1, 1), None),
    Expected("a share", lambda x: x.abs() / x.abs().sum(), 0, 1, (0, 1), None),
    Expected("the largest of others", lambda x: x[:2] - x[2:].amax(), -INF, INF, None, None),
    Expected("over another norm", lambda x: x / x.sin().norm(), -INF, INF, None, None),
    Expected("the larger of two", lambda x: x - torch.maximum(x.amax(), torch.zeros(())), -INF, 0, (0, 0), None),
    Expected("the larger of itself", lambda x: x.exp() - torch.maximum(x.sin(), x.exp()), -INF, 0, (0, 0), None),
    Expected("the larger of three", lambda x: x.fmax(x.sin().maximum(x.tan())) - x.sin(), 0, INF, (0, 0), None),
    Expected("the log of both", lambda x: x - torch.logaddexp(x, x.sin()), -INF, 0, (0, 0), None),
    Expected("the smaller of itself", lambda x: x - torch.minimum(x, x.sin()), 0, INF, (0, 0), None),
    Expected("less what is smaller", lambda x: x.clamp(max=1.0) - x, -INF, 0, (0, 0), None),
    Expected("between two", lambda x: x.clamp(-1.0, 1.0) - x, -INF, INF, None, None),
    Expected("the larger of its columns", lambda x: x - torch.maximum(x, x.sin()).T.T[:1], -INF, INF, None, None),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_relation(case):
    case.check()
