from __future__ import annotations

import math

import pytest
import torch

from tessera.debug.born import birth, puts

aten = torch.ops.aten
INF, NAN = math.inf, math.nan


def born(operator, *operands, results=None):
    made = operator(*operands) if results is None else results
    made = [made] if isinstance(made, torch.Tensor) else list(made)
    found = birth(
        operator,
        operands,
        made,
        lambda change: [operator(*(change(v) if isinstance(v, torch.Tensor) else v for v in operands))],
    )
    return None if found is None else (found.kind, found.count)


def test_each_element_is_judged_by_its_own_operands():
    x = torch.tensor([-INF, 1000.0, 0.0])
    assert born(aten.exp.default, x) == ("inf", 1)
    assert born(aten.exp.default, torch.tensor([INF, 0.0])) is None
    assert born(aten.mul.Tensor, x, torch.tensor([0.0, 1.0, 1.0])) == ("NaN", 1)
    assert born(aten.add.Tensor, torch.tensor([NAN, 1.0]), torch.tensor([1.0, 2.0])) is None
    assert born(aten.div.Tensor, torch.tensor([NAN, 1.0]), torch.tensor([0.0, 0.0])) == ("inf", 1)


def test_sums_are_judged_as_a_whole():
    assert born(aten.sum.default, torch.tensor([INF, 1.0])) is None
    assert born(aten.sum.default, torch.tensor([INF, -INF])) == ("NaN", 1)
    assert born(aten.sum.default, torch.tensor([3e38, 3e38])) == ("inf", 1)
    assert born(aten.mm.default, torch.tensor([[INF, 0.0], [3e38, 3e38]]), torch.full((2, 2), 3e38)) == ("inf", 2)


def test_the_largest_numbers_of_a_dtype_stand_for_infinity():
    low = torch.finfo(torch.float32).min
    assert born(aten.add.Tensor, torch.tensor([low, 0.0]), torch.tensor([low, 1.0])) is None
    assert born(aten.add.Tensor, torch.tensor([-3e38]), torch.tensor([-3e38])) == ("-inf", 1)
    assert born(aten._to_copy.default, torch.tensor([low]), results=torch.tensor([low]).half()) is None
    assert born(aten._to_copy.default, torch.tensor([1e5]), results=torch.tensor([1e5]).half()) == ("inf", 1)


@pytest.mark.parametrize("number", [INF, -INF])
def test_a_number_that_is_infinite_is_an_operand(number):
    assert born(aten.add.Scalar, torch.ones(2), number) is None
    assert born(aten.mul.Scalar, torch.zeros(2), number) == ("NaN", 2)


def test_what_is_put_there_is_not_born():
    assert puts("masked_fill_")
    assert born(aten.masked_fill.Scalar, torch.ones(2), torch.tensor([True, False]), -INF) is None
    assert not puts("log")
