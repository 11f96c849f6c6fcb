from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from tessera import Tensor
from tessera.check.call import Call
from tessera.check.pointless import does_nothing, pointless, suspects
from tessera.check.run import Outcome, Plan, run
from tessera.shapes.signature import read_contract

X = torch.ones(3, 1, 4)


@pytest.mark.parametrize(
    ("axes", "nothing"), [((1,), True), ((0,), False), (((0, 1),), False), ((-2,), True), ((), False)]
)
def test_a_sum_over_what_is_one(axes, nothing):
    assert does_nothing(Call(torch.sum, (X, *axes), {}, None, [X], result=X.sum(*axes))) is nothing


@pytest.mark.parametrize(
    ("function", "args", "nothing"),
    [
        (F.max_pool1d, (X, 1), True),
        (F.max_pool1d, (X, 2), False),
        (F.pad, (X, (0, 0)), True),
        (F.pad, (X, (0, 1)), False),
        (torch.squeeze, (X, 0), True),
        (torch.squeeze, (X, 1), False),
        (torch.cat, ([X],), True),
        (torch.cat, ([X, X],), False),
    ],
)
def test_what_gives_what_it_is_given(function, args, nothing):
    assert does_nothing(Call(function, args, {}, None, [X])) is nothing


def ran(function) -> Outcome:
    return run(function, read_contract(function), Plan({"B": 97, "D": 131}, {}, in_numbers=True), None)


def test_a_line_that_does_nothing_is_counted():
    def nothing(x: Tensor["B", "D"]):
        return x.squeeze(1) + 1

    def something(x: Tensor["B", 1]):
        return x.squeeze(1) + 1

    assert (pointless(ran(nothing)), pointless(ran(something))) == (1, 0)


def test_a_shape_that_is_the_old_one_is_suspect():
    def same(x: Tensor["B", "D"]):
        y = x.reshape(x.shape[0], x.shape[1])
        return y + 1

    def other(x: Tensor["B", "D"]):
        y = x.reshape(x.shape[1], x.shape[0])
        return y + 1

    def turned(x: Tensor["B", "D"]):
        y = x.transpose(1, -1)
        return y.permute(1, 0)

    assert [line.code for line in suspects(ran(same))] == ["y = x.reshape(x.shape[0], x.shape[1])"]
    assert [line.code for line in suspects(ran(turned))] == ["y = x.transpose(1, -1)"]
    assert not suspects(ran(other))
