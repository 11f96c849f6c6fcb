import copy
import math

import pytest
import torch
from torch import nn

from tessera.errors import OptimizerError
from tessera.optim import Optimizer, adam, chain, cosine_decay, skip_if_not_finite
from tests.optim.parity import Model, assert_same

BAD = [math.nan, math.inf, -math.inf]


@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize("first", [False, True])
def test_a_step_that_is_not_finite_never_was(bad, first):
    members = [adam(cosine_decay(0.1, 10)), skip_if_not_finite()]
    model = Model()
    twin = copy.deepcopy(model)
    ours = Optimizer(model, chain(*(reversed(members) if first else members)))
    reference = Optimizer(twin, members[0])
    for step in range(8):
        loss = model.loss(2 * step)
        if step in {0, 3, 4}:
            loss = loss + model.weight[0, 0] * bad  # one number of one gradient
        else:
            reference.step(twin.loss(2 * step))
        ours.step(loss)
        assert_same(model, twin)
    assert ours.state[model.bias]["skipped"].item() == 3
    assert ours.state[model.bias]["skipped_in_a_row"].item() == 0


def test_after_so_many_in_a_row_it_gives_up():
    param = nn.Parameter(torch.zeros(2))
    optimizer = Optimizer([param], chain(adam(0.1), skip_if_not_finite(max_consecutive=2)))
    for number in range(3):
        assert torch.isfinite(param).all()
        assert number == optimizer.state.get(param, {}).get("skipped", 0)
        optimizer.step((param * math.nan).sum())
    assert torch.isnan(param).all()


@pytest.mark.parametrize("number", [-1, 0.5, "two"])
def test_bad_numbers_are_refused(number):
    with pytest.raises(OptimizerError, match="^max_consecutive="):
        skip_if_not_finite(number)
