"""No value is computed that was not foreseen: random programs, node by node."""

from __future__ import annotations

import random

import pytest
import torch

from tessera.backend.ranges.interpret import constant_range, unknown
from tests.backend.ranges.asking import HALF, X, interpreted, range_of
from tests.backend.ranges.random_programs import ALONG, BINARY, RANGES, UNARY, random_program, unforeseen


@pytest.mark.parametrize("declared", RANGES, ids=str)
def test_every_operation_stays_within_what_is_known_of_it(declared):
    assert unforeseen(lambda a, _: [function(a) for function in (*UNARY, *ALONG)], [declared, declared], 1, 1) == []


@pytest.mark.parametrize("declared", RANGES, ids=str)
def test_every_operation_on_two_stays_within_too(declared):
    for other in RANGES[:4]:
        assert unforeseen(lambda a, b: [function(a, b) for function in BINARY], [declared, other], 2, 1) == []


def check_random_programs(seeds):
    for seed in seeds:
        draw = random.Random(seed)
        program = random_program(draw, draw.randint(2, 8))
        assert unforeseen(program, [draw.choice(RANGES), draw.choice(RANGES)], seed, 2) == [], f"seed {seed}"


def test_random_programs():
    check_random_programs(range(25))


@pytest.mark.slow
def test_many_random_programs():
    check_random_programs(range(25, 1500))


def test_an_overflow_is_known_by_the_value_that_is_too_large():
    found, _ = interpreted(lambda x: x * 1e5, HALF)
    assert list(found.overflows.values()) == [1e5]
    found, _ = interpreted(lambda x: x * 1e5, X)
    assert not found.overflows


def test_an_underflow_is_known_too():
    found, _ = interpreted(lambda x: x * 1e-50, X)
    assert list(found.underflows.values()) == [1e-50]
    found, _ = interpreted(lambda x: x * 1e-20, X)
    assert not found.underflows


def test_what_is_passed_in():
    assert unknown(torch.float32).data
    assert unknown(torch.bool).reached == (0.0, 1.0)
    assert unknown(torch.int64).integer


def test_what_is_at_hand():
    assert constant_range(torch.tensor([1.0, -3.0])).reached == (-3.0, 1.0)
    assert constant_range(torch.nn.Parameter(torch.ones(3))).parameter
    assert constant_range(torch.nn.Parameter(torch.ones(3))).reached is None
    assert constant_range(torch.empty(0)).reached is None
    assert constant_range(torch.tensor([float("nan")])).reached is None


def test_an_operation_that_no_rule_knows_can_compute_anything():
    assert not range_of(torch.special.bessel_j0, X).bounded


class Double(torch.autograd.Function):
    """Keeps its context in ``forward``, which torch cannot make functional."""

    @staticmethod
    def forward(ctx, x):
        return x * 2

    @staticmethod
    def backward(ctx, gradient):
        return gradient * 2


def written(x):
    x, out = Double.apply(x), torch.ones(4, 8)
    out[:, 1:3] = x[:, 1:3] * 0
    return out


def test_what_is_written_in_place_is_known():
    assert range_of(lambda x: Double.apply(x).relu_(), X).low == 0
    assert range_of(lambda x: torch.zeros(4, 8).add_(Double.apply(x)).clamp_(0, 1), X).reached == (0.0, 1.0)
    found = range_of(written, X)
    assert (found.low, found.high) == (0.0, 1.0)
