import copy
import math

import pytest
import torch
from torch import nn

from tessera.errors import OptimizerError
from tessera.optim import Optimizer, adamw, bfloat16_state, chain, scale_by_adam, sgd, stochastic_rounding
from tessera.optim.counter_random import random_bits
from tessera.optim.transforms.stochastic_rounding import round_stochastically


def bits(shape, count=0):
    return random_bits(torch.empty(shape), seed=1, stream=2, count=torch.tensor(float(count)))


def test_it_is_right_on_average_and_a_neighbour_each_time():
    values = torch.randn(300) * torch.tensor(10.0) ** torch.randint(-20, 20, (300,))
    total = torch.zeros(300, dtype=torch.float64)
    rounds = 2000
    down = (values.view(torch.int32) & -0x10000).view(torch.float32)
    up = ((values.view(torch.int32) & -0x10000) + 0x10000).view(torch.float32)
    for number in range(rounds):
        rounded = round_stochastically(values, bits(300, number)).float()
        assert ((rounded == down) | (rounded == up)).all()
        total += rounded.double()
    error = (total / rounds - values.double()) / (up - down).double().abs()
    assert error.abs().max() < 5 * 0.5 / rounds**0.5


def test_what_bfloat16_has_stays():
    values = torch.tensor([0.0, -0.0, 1.0, -2.5, math.inf, -math.inf, 2.0**-126, 3.3895e38]).bfloat16().float()
    for number in range(50):
        assert torch.equal(round_stochastically(values, bits(8, number)).float(), values)
    nans = torch.tensor([0x7FFFFFFF, 0x7F800001, -1], dtype=torch.int32).view(torch.float32)
    assert torch.isnan(round_stochastically(nans, torch.full((3,), 0xFFFF))).all()


def test_a_slow_mean_moves_where_rounding_to_the_nearest_stands_still():
    tx = bfloat16_state(scale_by_adam((0.9, 0.999)))
    param = torch.zeros(4096)
    states = [tx.init(param)]
    state = {**states[0], "exp_avg_sq": torch.ones(4096, dtype=torch.bfloat16)}
    states = [state]
    for _ in range(500):
        _, states = tx.update([torch.zeros(4096)], states, [param])
    assert states[0]["exp_avg_sq"].dtype == torch.bfloat16
    assert states[0]["exp_avg_sq"].float().mean().item() == pytest.approx(0.999**500, rel=0.01)
    nearest = torch.ones(4096, dtype=torch.bfloat16)
    for _ in range(500):
        nearest = (0.999 * nearest.float()).bfloat16()
    assert (nearest == 1).all()


def test_the_steps_are_about_adamws():
    torch.manual_seed(0)
    mine = nn.Parameter(torch.randn(100))
    theirs = nn.Parameter(mine.detach().clone())
    ours, reference = Optimizer([mine], bfloat16_state(adamw(0.01))), torch.optim.AdamW([theirs], lr=0.01)
    for _ in range(50):
        for param, optimizer in ((mine, ours), (theirs, reference)):
            optimizer.zero_grad()
            (param - 1).square().sum().backward()
            optimizer.step()
    torch.testing.assert_close(mine, theirs, rtol=0, atol=0.02)
    assert {n: v.dtype for n, v in ours.state[mine].items() if v.ndim} == dict.fromkeys(
        ("exp_avg", "exp_avg_sq"), torch.bfloat16
    )


def test_a_resumed_run_rounds_alike():
    param = nn.Parameter(torch.randn(64))
    optimizer = Optimizer([param], bfloat16_state(adamw(0.1)))
    train = lambda p, o: o.step((p.sin()).sum())  # noqa: E731
    for _ in range(3):
        train(param, optimizer)
    copied = nn.Parameter(param.detach().clone())
    resumed = Optimizer([copied], bfloat16_state(adamw(0.1)))
    resumed.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    for _ in range(3):
        train(param, optimizer)
        train(copied, resumed)
    assert torch.equal(param, copied)


def test_bfloat16_parameters_take_small_steps_on_average():
    param = nn.Parameter(torch.ones(20000, dtype=torch.bfloat16))
    optimizer = Optimizer([param], chain(sgd(1e-4), stochastic_rounding()))
    for _ in range(20):
        optimizer.step(param.float().sum())
    assert param.dtype == torch.bfloat16
    assert param.float().mean().item() == pytest.approx(1 - 20 * 1e-4, abs=1e-4)


def test_other_parameters_pass():
    param = nn.Parameter(torch.ones(3))
    Optimizer([param], chain(sgd(0.1), stochastic_rounding())).step(param.sum())
    assert torch.equal(param.detach(), torch.full((3,), 0.9))


def test_another_thing_than_a_transformation_is_refused():
    with pytest.raises(OptimizerError) as caught:
        bfloat16_state(3)
    assert str(caught.value) == (
        "bfloat16_state() was given 3. It takes a gradient transformation, whose state it keeps in bfloat16. "
        "Write for example bfloat16_state(adamw(1e-3))."
    )
