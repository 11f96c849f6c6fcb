"""Expressions of learning and of the sciences: each is accurate, or stands in MISSED with the reason."""

import pytest
import torch

from tests.backend.stability import unseen_learning, unseen_sciences
from tests.backend.stability.harness import assert_accurate, parameters, touched
from tests.backend.stability.unseen_daily_left import ALONE

ROWS = [(row, torch.float32) for row in (*unseen_learning.ROWS, *unseen_sciences.ROWS)] + unseen_learning.LOW

_TOGETHER = "wrong where inputs are small, near 1 and equal at once, which no family is"
_PRODUCT = "a product of matrices in the middle leaves the range"
_COUNTS = "lgamma of large counts, spelled as in every density: no rule is about it, and no ordinary count shows it"
MISSED = {
    "rl: retrace's clipped ratio": "its gradient alone, where an exponential overflows that is clipped: v-trace",
    "beta log-density, many counts": _COUNTS,
    "negative binomial, nearly Poisson": _COUNTS,
    "student t with many degrees of freedom": _COUNTS,
    "teager energy of a smooth signal": "of nearly equal products: another rounding of the inputs changes as much",
    "rl: sum of n discounts": "its value is nearly right, and a wrong gradient alone is not held against it",
    "HMM: likelihood of fourteen observations": _PRODUCT,
    "fp16: scores scaled afterwards": _PRODUCT,
    "jensen-shannon of two softmaxes": "1e-17 of log(2) is left in a gradient that is 0",
    "von mises, concentrated": "log(i0(x)) of large x less x",
    "heron's area of a needle": _TOGETHER,
    "kepler's equation near the pericentre": _TOGETHER,
    "ray meets a far sphere": _TOGETHER,
    "put by parity": _TOGETHER,
    "dirichlet kernel": "its gradient at 1e-20, in float64 too",
    "bf16: timestep embedding": "frequencies are rounded to bfloat16, and angles of 50 are a few ulp of 1 off",
}


@pytest.mark.slow
@pytest.mark.parametrize(("row", "dtype"), parameters(ROWS, MISSED))
def test_unstable_expressions_are_accurate(row, dtype):
    assert_accurate(row, dtype)


@pytest.mark.parametrize(("row", "dtype"), parameters([one for one in ROWS[3::17] if one[0].name not in MISSED], {}))
def test_some_unstable_expressions_are_accurate(row, dtype):
    assert_accurate(row, dtype)


@pytest.mark.slow
@pytest.mark.parametrize("name", ALONE)
def test_what_must_not_be_touched_is_not(name):
    assert touched(*ALONE[name]) == []


@pytest.mark.parametrize("name", list(ALONE)[2::9])
def test_some_of_what_must_not_be_touched_is_not(name):
    assert touched(*ALONE[name]) == []


def test_the_tables_name_what_is_there():
    assert {*MISSED} <= {row.name for row, _ in ROWS}
