"""The families that the issue names, and others, as scripts spell them: accurate, or in MISSED with the reason.

Of the rows that were kept aside (``unseen_families.held_out``) 49 of 53 were accurate at their first look, and 20 of 22
that were to stay did so; of ``unseen_layers_left``, which came later, 63 of 75. Of ``unseen_practice``, later still,
22 of 24 that were kept aside were accurate at their first look, and 43 of 55 stayed.
"""

import pytest
import torch

from tests.backend.stability import unseen_elsewhere, unseen_families, unseen_practice, unseen_practice_left_too
from tests.backend.stability.harness import assert_accurate, parameters, touched
from tests.backend.stability.unseen_families_left import ALONE as STABLE
from tests.backend.stability.unseen_layers_left import ALONE as LAYERS

ROWS = [
    *((row, torch.float32) for row in (*unseen_families.ROWS, *unseen_elsewhere.ROWS, *unseen_practice.ROWS)),
    *unseen_elsewhere.LOW,
    *unseen_practice.LOW,
]
ALONE = STABLE | LAYERS | unseen_practice_left_too.ALONE

MISSED = {
    "softmax: L1-normalised exponentials": "F.normalize is not read",
    "logcumsumexp: by hand": "the gradient of torch.logcumsumexp has the rounding of its results, of 130",
    "BCE: with an eps in each logarithm": "the eps is the user's, and so is what the difference beside it becomes",
    "geometric mean: of two": "the product is out of range; the root of one stays as it is",
    "softmax: margin over the rest": "1 - softmax(x)[i] is not the sum of the others",
    "practice: logcumsumexp from the end": "the gradient of torch.logcumsumexp has the rounding of its results, of 100",
    "practice: BLEU of four precisions": "the gradient of the product is out of range; the root of one stays as it is",
    "practice: softmax times the reciprocal of its sum": "the gradient of torch's softmax where one weight is nearly 1",
    "practice: BCE of the second of two classes": "1 - softmax(x)[i] is not the sum of the others",
}
_RANGE = "squares of 1e20 overflow"
TOUCHED = {
    "log1mexp of Maechler": "the gradient of the branch that is not chosen is NaN at -1e-9",
    "distillation": "the gradient for a teacher that has one is NaN where its scores are 90 apart",
    "EDM preconditioning": _RANGE,
    "VAE's KL": "near the prior its terms cancel",
    "beta-VAE": "near the prior its terms cancel",
    "diag gaussian KL": "of equal ones its terms cancel",
    "weight norm": _RANGE,
    "practice: entropy by entr": "the gradient is NaN where scores are 104 apart",
    "practice: RAdam's rectification": "x / (1 - b ** x) has a limit at 0, and the steps are several",
    "practice: consistency boundary": _RANGE,
    "practice: speculative residual": "0 / 0 where both scores are 104 apart from the largest",
    "practice: sRGB to linear": "the gradient of the power is NaN below -0.055, where it is not chosen",
    "practice: ancestral Euler": "of steps next to each other the difference of squares cancels",
    "practice: eigenvalues of a splat": "of diagonals of either sign, which no covariance has, they cancel",
}


@pytest.mark.slow
@pytest.mark.parametrize(("row", "dtype"), parameters(ROWS, MISSED))
def test_unstable_expressions_are_accurate(row, dtype):
    assert_accurate(row, dtype)


@pytest.mark.parametrize(("row", "dtype"), parameters([one for one in ROWS[2::19] if one[0].name not in MISSED], {}))
def test_some_unstable_expressions_are_accurate(row, dtype):
    assert_accurate(row, dtype)


@pytest.mark.slow
@pytest.mark.parametrize("name", ALONE)
def test_what_must_not_be_touched_is_not(name):
    assert bool(touched(*ALONE[name])) == (name in TOUCHED)


@pytest.mark.parametrize("name", list(ALONE)[1::16])
def test_some_of_what_must_not_be_touched_is_not(name):
    assert bool(touched(*ALONE[name])) == (name in TOUCHED)


def test_the_tables_name_what_is_there():
    assert {*MISSED} <= {row.name for row, _ in ROWS}
    assert {*TOUCHED} <= {*ALONE}
    assert len({row.name for row, _ in ROWS}) == len(ROWS)
