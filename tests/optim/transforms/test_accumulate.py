import copy

import pytest
import torch
from torch import nn

from tessera.errors import OptimizerError
from tessera.optim import Optimizer, accumulate, adamw, chain, clip_by_global_norm, cosine_decay, rmsprop, sgd
from tests.optim.parity import Model, assert_same


@pytest.mark.parametrize("place", range(3))
def test_it_is_one_update_by_the_mean_wherever_it_stands(place):
    """Clipping sees the mean, the moments and the schedule advance once in four calls."""
    members = [clip_by_global_norm(0.1), rmsprop(cosine_decay(0.1, 8), momentum=0.5)]
    model = Model()
    twin = copy.deepcopy(model)
    ours = Optimizer(model, chain(*members[:place], accumulate(4), *members[place:]))
    reference = Optimizer(twin, chain(*members))
    for update in range(6):
        before = copy.deepcopy(model.state_dict())
        for micro in range(4):
            assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
            ours.step(model.loss(2 * (4 * update + micro)))
        reference.step(sum(twin.loss(2 * (4 * update + micro)) for micro in range(4)) / 4)
        assert_same(model, twin)
    counts = {name: value.item() for name, value in ours.state[model.weight].items() if value.ndim == 0}
    assert counts == {"step": 6, "step_1": 6, "micro_step": 24}


def test_chains_of_chains_are_gathered_too():
    param = nn.Parameter(torch.zeros(2, dtype=torch.float64))
    optimizer = Optimizer([param], chain(chain(accumulate(2)), adamw(0.1)))
    optimizer.step((param * 3).sum())
    assert optimizer.state[param]["exp_avg"].abs().max() == 0
    optimizer.step((param * 1).sum())
    torch.testing.assert_close(optimizer.state[param]["exp_avg"], torch.full_like(param, 0.2))


def test_a_gradient_that_comes_late_waits_for_the_next_update():
    first, second = (nn.Parameter(torch.zeros((), dtype=torch.float64)) for _ in range(2))
    optimizer = Optimizer([first, second], chain(accumulate(2), rmsprop(0.0)))
    for call in range(4):
        first.grad = torch.ones_like(first)
        second.grad = torch.ones_like(second) if call in {0, 3} else None
        optimizer.step()
    assert optimizer.state[second]["accumulated"].item() == 0
    assert optimizer.state[second]["square_avg"].item() == pytest.approx(0.01)  # of (1 + 1) / 2


def test_a_resumed_run_goes_on_in_the_middle():
    model = Model()
    make = lambda m: Optimizer(m, chain(adamw(0.1), accumulate(3)))  # noqa: E731
    optimizer = make(model)
    for step in range(4):
        optimizer.step(model.loss(2 * step))
    copied = copy.deepcopy(model)
    resumed = make(copied)
    resumed.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    for step in range(4, 9):
        optimizer.step(model.loss(2 * step))
        resumed.step(copied.loss(2 * step))
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), copied.parameters(), strict=True))


@pytest.mark.parametrize("steps", [0, -1, 2.5, None])
def test_bad_numbers_are_refused(steps):
    with pytest.raises(OptimizerError, match=r"^steps=.* was passed. steps is a whole number of steps, at least 1"):
        accumulate(steps)


def test_small_gradients_of_bfloat16_parameters_add_up():
    param = nn.Parameter(torch.zeros(2, dtype=torch.bfloat16))
    optimizer = Optimizer([param], chain(sgd(1.0), accumulate(512)))
    for _ in range(512):
        param.grad = torch.ones_like(param)
        optimizer.step()
    assert torch.equal(param, torch.full_like(param, -1.0))  # a bfloat16 sum of ones ends at 256


def test_it_counts_on_where_float32_stops():
    param = nn.Parameter(torch.zeros(()))
    optimizer = Optimizer([param], chain(sgd(1.0), accumulate(2)))
    optimizer.step(param * 1.0)
    optimizer.state[param]["micro_step"].fill_(2.0**24)
    optimizer.state[param]["accumulated"].zero_()
    seen = [(optimizer.step(param * 1.0), param.item())[1] for _ in range(6)]
    assert seen == [0.0, -1.0, -1.0, -2.0, -2.0, -3.0]
