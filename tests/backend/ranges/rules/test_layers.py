"""Layers and losses that are one operation."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from tests.backend.ranges.rules.expected import INF, Expected

LABELS = torch.zeros(4, dtype=torch.int64)
TABLE = torch.nn.Embedding(10, 4)
CASES = [
    Expected("layer norm", lambda x: F.layer_norm(x, (8,)), -INF, INF, (-1, 1), None),
    Expected("dropout", lambda x: F.dropout(x, 0.5), 0, 4, (0, 4), (0.5, 2)),
    Expected("cross entropy", lambda x: F.cross_entropy(x, LABELS), 0, INF, None, None),
    Expected("squared error", lambda x: F.mse_loss(x, x + 1), 0, INF, (0, 1), None),
    Expected("one-hot", lambda x: F.one_hot(LABELS, 3), 0, 1, (0, 1)),
    Expected("counts", lambda x: torch.bincount(LABELS), 0, INF, (0, 1)),
    Expected("embeddings", lambda x: TABLE(LABELS), -INF, INF, (-1, 1)),
    Expected("binary cross entropy", lambda x: F.binary_cross_entropy(x, x), 0, INF, None, (0, 1)),
    Expected("pooled", lambda x: F.max_pool1d(x[None], 2), -1, 2, (-1, 2)),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_layer(case):
    case.check()
