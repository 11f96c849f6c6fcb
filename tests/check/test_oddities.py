from __future__ import annotations

import pytest
import torch

import tessera
from tessera import Tensor
from tessera.check.oddities import dearer, fewest, gives_back, mixes, odd
from tessera.check.run import Outcome, Plan, run
from tessera.shapes.signature import read_contract


def ran(function) -> Outcome:
    return run(function, read_contract(function), Plan({"B": 97, "D": 131}, {}, in_numbers=True), None)


@pytest.mark.parametrize(
    ("before", "behind", "mixed"),
    [
        ((7, 12), (7, 3, 4), False),
        ((7, 3, 4), (7, 12), False),
        ((7, 3, 4), (21, 4), False),
        ((7, 1, 12), (7, 12, 1), False),
        ((2, 12, 15), (2, 4, 3, 15), False),
        ((2, 12, 15), (2, 4, 5, 3, 3), True),
        ((7, 12), (12, 7), True),
        ((12, 12), (4, 4, 3, 3), True),
        ((5,), (), False),
    ],
)
def test_parts_of_two_dimensions_are_mixed(before, behind, mixed):
    assert mixes(before, behind) is mixed


def test_what_nobody_means_is_counted_by_its_kind():
    def spread(x: Tensor["B", "D"]):
        return x - x.sum(1)[:, None, None]

    def mixed(x: Tensor["B", 12, "D"]):
        return x.view(x.shape[0], x.shape[2], 12)

    def twice(x: Tensor["B", 3], y: Tensor["D", 3], i: Tensor["B", torch.int64]):
        return torch.zeros(x.shape[0]).index_add(0, i, x[:, 0]), y[i]

    def once(x: Tensor["B", 3], y: Tensor["B", 3], i: Tensor["B", torch.int64]):
        return torch.zeros(x.shape[0]).index_add(0, i, x[:, 0]), y[i]

    assert odd(ran(mixed)) == (0, 0, 1, 0)
    assert odd(ran(twice)) == (0, 0, 0, 1)
    assert odd(ran(once)) == (0, 0, 0, 0)
    assert odd(ran(spread)) == (1, 0, 0, 0)


def test_more_of_it_than_another_has_is_dearer():
    least = fewest([(1, 0, 2, 0), (0, 3, 2, 0)])
    assert least == (0, 0, 2, 0)
    assert dearer(least, least) == 0
    assert dearer((1, 0, 2, 0), least) > 0


def test_a_shape_that_a_tensor_had_before():
    def f(x: Tensor["B", "D", 3, 8]):
        y = x.reshape(x.shape[0], -1, 8).relu()
        back = y.reshape(x.shape[0], -1, 3, 8)
        return back.reshape(x.shape[0], 3, -1, 8)

    assert [where.code.partition(" ")[0] for where in gives_back(ran(f))] == ["back"]


def between(x: Tensor["B", "T", 24]) -> Tensor["B", "T", 24]:
    b, t, _ = x.shape
    every = torch.stack([x, x, x], dim=2)
    y = every.reshape(b, 3 * t, 24).relu()
    y = y.reshape(b, t, 3, 24)
    return y[:, 1]


def cut(x: Tensor["B", 3, 32, 32], w: Tensor[48, 10]) -> Tensor["B", 64, 10]:
    x = x.view(x.shape[0], 3, 8, 4, 8, 4)
    x = x.permute(0, 2, 3, 1, 4, 5)
    return x.flatten(1, 2).flatten(2) @ w


def group_means(x: Tensor["N", "D"], group: Tensor["N", torch.int64], out: Tensor["G", "D"]) -> Tensor["G", "D"]:
    total = torch.zeros_like(out).index_add(0, group, x)
    count = torch.zeros(out.shape[1]).index_add(0, group, torch.ones(x.shape[0]))
    return total / count.unsqueeze(1)


@pytest.mark.parametrize(
    ("function", "code"),
    [
        (between, "return y[:, 1]"),
        (cut, "x = x.permute(0, 2, 3, 1, 4, 5)"),
        (group_means, "count = torch.zeros(out.shape[1]).index_add(0, group, torch.ones(x.shape[0]))"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_the_line_after_whose_edit_nothing_is_odd_is_blamed(function, code):
    (finding,) = tessera.check(function).errors
    assert finding.where.code == code
