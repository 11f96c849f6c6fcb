"""That the distributions are right; that eager and compiled agree is in ``test_eager_mode``."""

from __future__ import annotations

import math

import pytest
import torch

from tessera.random.eager_mode import drawing
from tessera.random.operators import draws_key

NUMBER = 200_000
# Each a draw, its mean and its standard deviation.
DISTRIBUTIONS = {
    "rand": (lambda: torch.rand(NUMBER), 0.5, 12**-0.5),
    "rand in bfloat16": (lambda: torch.rand(NUMBER, dtype=torch.bfloat16), 0.498, 12**-0.5),
    "uniform_": (lambda: torch.empty(NUMBER).uniform_(-1, 3), 1.0, 4 * 12**-0.5),
    "randn": (lambda: torch.randn(NUMBER, dtype=torch.float64), 0.0, 1.0),
    "normal_": (lambda: torch.empty(NUMBER).normal_(2.0, 3.0), 2.0, 3.0),
    "normal of tensors": (lambda: torch.normal(torch.full((NUMBER,), 2.0), torch.full((NUMBER,), 3.0)), 2.0, 3.0),
    "exponential_": (lambda: torch.empty(NUMBER).exponential_(4.0), 0.25, 0.25),
    "geometric_": (lambda: torch.empty(NUMBER).geometric_(0.25), 4.0, math.sqrt(0.75) / 0.25),
    "log_normal_": (lambda: torch.empty(NUMBER).log_normal_(0.0, 0.5).log(), 0.0, 0.5),
    "median of cauchy_": (lambda: torch.empty(NUMBER).cauchy_(3.0, 0.1) > 3.0, 0.5, 0.5),
    "bernoulli_": (lambda: torch.empty(NUMBER).bernoulli_(0.3), 0.3, math.sqrt(0.21)),
    "bernoulli of tensors": (lambda: torch.bernoulli(torch.full((NUMBER,), 0.3)), 0.3, math.sqrt(0.21)),
    "dropout": (lambda: torch.nn.functional.dropout(torch.ones(NUMBER), 0.2) > 0, 0.8, 0.4),
    "randint": (lambda: torch.randint(-3, 6, (NUMBER,)), 1.0, math.sqrt(80 / 12)),
    "random_": (lambda: torch.empty(NUMBER).random_(5), 2.0, math.sqrt(2)),
    "randperm": (lambda: torch.randperm(NUMBER)[: NUMBER // 2], NUMBER / 2, NUMBER / math.sqrt(12)),
}


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_mean_and_deviation_are_those_of_the_distribution(name):
    draw, mean, deviation = DISTRIBUTIONS[name]
    torch.manual_seed(0)
    with drawing("tessera", print):
        first, second = draw(), draw()
    assert not torch.equal(first, second)
    for values in (first.double(), second.double()):
        assert abs(values.mean() - mean) < 5 * deviation / math.sqrt(len(values))
        assert abs(values.std() - deviation) < 0.02 * deviation


def test_a_permutation_has_every_number_once():
    with drawing("tessera", print):
        order = torch.randperm(1000)
    assert torch.equal(order.sort().values, torch.arange(1000))
    assert not torch.equal(order, torch.arange(1000))


def test_whole_numbers_stay_in_their_range_and_dtype():
    with drawing("tessera", print):
        for dtype, high in ((torch.uint8, 256), (torch.int8, 128), (torch.int64, 2**63 - 1), (torch.bool, 2)):
            values = torch.empty(1000, dtype=dtype).random_()
            assert values.dtype is dtype
            assert 0 <= values.min().item() <= values.max().item() < high
        assert set(torch.randint(2, 4, (100,)).tolist()) == {2, 3}


def test_only_the_draw_of_a_key_is_one():
    randint = torch.ops.aten.randint
    assert draws_key(randint.default, (2**63 - 1, []))
    assert draws_key(randint.low, (0, 2**63 - 1, []))
    assert not draws_key(randint.default, (2**63 - 1, [1]))
    assert not draws_key(randint.default, (5, []))
    assert not draws_key(torch.ops.aten.rand.default, ([],))
