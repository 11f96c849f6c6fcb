"""Products of matrices, convolutions, attention."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from tests.backend.ranges.asking import X, range_of
from tests.backend.ranges.rules.expected import INF, Expected

CASES = [
    Expected("product", lambda x: x @ x.T, -16, 32, None),
    Expected("rows of length 1", lambda x: F.normalize(x, dim=1) @ F.normalize(x, dim=1).T, -1, 1, (-1, 1), None),
    Expected("weighted means", lambda x: (x @ x.T).softmax(1) @ x.sigmoid(), 0, 1, None, None),
    Expected("anything", lambda x: x @ x.T, -INF, INF, None, None),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_product(case):
    case.check()


def test_the_product_of_rows_of_length_one_by_a_sum():
    found = range_of(lambda x, y: (F.normalize(x, dim=1) * F.normalize(y, dim=1)).sum(1), X, X)
    assert (found.low, found.high) == pytest.approx((-1.0, 1.0), rel=1e-5)
    assert found.high > 1  # by its rounding, which is what acos trips over


def test_what_weights_make_has_both_signs():
    layer = torch.nn.Linear(8, 4)
    assert range_of(layer, X).signed
    convolution = torch.nn.Conv1d(4, 4, 3)
    assert range_of(convolution, X).signed


def test_attention_is_a_weighted_mean():
    value = torch.ones(1, 2, 4, 8)
    found = range_of(lambda v: F.scaled_dot_product_attention(v, v, v), value, v=(0.0, 1.0))
    assert (found.low, found.high) == (0.0, 1.0)
