"""The families that the issue names, and others, as scripts spell them: accurate, or in MISSED with the reason.

Of the rows that were kept aside (``unseen_families.held_out``) 49 of 53 were accurate at their first look, and 20 of 22
that were to stay did so; of ``unseen_layers_left``, which came later, 63 of 75.
"""

import pytest
import torch

from tests.backend.stability import unseen_elsewhere, unseen_families
from tests.backend.stability.harness import assert_accurate, parameters, touched
from tests.backend.stability.unseen_families_left import ALONE as STABLE
from tests.backend.stability.unseen_layers_left import ALONE as LAYERS

ROWS = [(row, torch.float32) for row in (*unseen_families.ROWS, *unseen_elsewhere.ROWS)] + unseen_elsewhere.LOW
ALONE = STABLE | LAYERS

MISSED = {
    "softmax: L1-normalised exponentials": "F.normalize is not read",
    "logcumsumexp: by hand": "the gradient of torch.logcumsumexp has the rounding of its results, of 130",
    "BCE: with an eps in each logarithm": "the eps is the user's, and so is what the difference beside it becomes",
    "geometric mean: of two": "the product is out of range; the root of one stays as it is",
    "softmax: margin over the rest": "1 - softmax(x)[i] is not the sum of the others",
}
_NAN = "the gradient is NaN where an exponential overflows"
_RANGE = "squares of 1e20 overflow"
TOUCHED = {
    "log1mexp of Maechler": "the gradient of the branch that is not chosen is NaN at -1e-9",
    "distillation": "the gradient for a teacher that has one is NaN where its scores are 90 apart",
    "importance weights, v-trace": _NAN,
    "EDM preconditioning": _RANGE,
    "VAE's KL": "near the prior its terms cancel",
    "beta-VAE": "near the prior its terms cancel",
    "gaussian NLL": _NAN,
    "normal log_prob": _NAN,
    "diag gaussian KL": _NAN,
    "NT-Xent exp form": "a loss near 0 is the logarithm of a quotient near 1",
    "weight norm": _RANGE,
    "mamba selective step": _NAN,
    "RWKV-like decay": _NAN,
    "hard concrete gate": "log(1 - u) is log1p(-u)",
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
