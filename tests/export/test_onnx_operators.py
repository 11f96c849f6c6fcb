from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from tessera.export import onnx_operators as ours
from tessera.export.export import export

WHOLE = torch.tensor([2, -3, 7, 10**6 + 3, -9, 5, -4])
INDEX = torch.tensor([[0, 2, 2, 0], [1, 1, 1, 1]])


def same(found, expected):
    for a, b in zip(found, expected, strict=True) if isinstance(found, tuple) else [(found, expected)]:
        assert a.dtype == b.dtype
        torch.testing.assert_close(a, b, equal_nan=True)


@pytest.mark.parametrize(
    ("x", "other"), [(torch.tensor([0, 1]), 1.0), (torch.tensor([0.5]), 2), (torch.tensor([3]), 1)]
)
def test_a_reversed_difference_has_torchs_dtype(x, other):
    same(ours.reversed_difference(x, other), other - x)


@pytest.mark.parametrize("p", [0.0, 1.0, 2.0, 3.0, math.inf])
def test_distances(p):
    x, y = torch.randn(2, 4, 3), torch.randn(2, 5, 3)
    same(ours.distances(x, y, p), torch.cdist(x, y, p))


@pytest.mark.parametrize("include_self", [True, False])
@pytest.mark.parametrize("reduce", ["sum", "mean", "prod", "amax", "amin"])
def test_reductions_where_numbers_fall(reduce, include_self):
    x, src = torch.randn(2, 3), torch.randn(3, 5)
    found = ours.reduced_where_they_fall(x, 1, INDEX, src, reduce, include_self=include_self)
    same(found, x.scatter_reduce(1, INDEX, src, reduce, include_self=include_self))


def test_what_the_translation_gets_right_is_left():
    x = torch.randn(2, 3)
    assert ours.reduced_where_they_fall(x, 1, INDEX, torch.randn(2, 4), "amax") is NotImplemented
    assert ours.added_where_they_fall(x, 1, INDEX, torch.randn(2, 4)) is NotImplemented
    assert ours.average_over_windows(torch.randn(2, 3, 5), [1]) is NotImplemented


@pytest.mark.parametrize(("length", "size"), [(12, 3), (7, 3), (5, 5), (3, 5), (1, 2)])
def test_windows_of_adaptive_pools(length, size):
    x = torch.randn(2, 3, length, 4)
    same(ours.average_over_windows(x, [size, 2]), functional.adaptive_avg_pool2d(x, (size, 2)))
    expected = functional.adaptive_max_pool2d(x, (size, 2), return_indices=True)
    same(ours.maximum_over_windows(x, [size, 2]), tuple(expected))
    line = functional.adaptive_max_pool1d(x[..., 0], size, return_indices=True)
    same(ours.maximum_over_windows(x[..., 0], [size]), tuple(line))


@pytest.mark.parametrize("right", [False, True])
def test_places_in_order(right):
    values = torch.tensor([[-1.0, 0.0, 0.5], [2.0, 5.0, 1.0]])
    for sequence in (torch.tensor([0.0, 1.0, 1.0, 2.0]), torch.tensor([[0.0, 1.0], [1.0, 2.0]])):
        same(ours.places_in_order(sequence, values, right=right), torch.searchsorted(sequence, values, right=right))
    shuffled, order = torch.tensor([2.0, 0.0, 1.0]), torch.tensor([1, 2, 0])
    found = ours.places_in_order(shuffled, values, right=right, sorter=order, out_int32=True)
    same(found, torch.searchsorted(shuffled, values, right=right, sorter=order, out_int32=True))


def test_members():
    x, those = torch.tensor([[1, 2], [3, 1]]), torch.tensor([1, 5])
    same(ours.among(x, those), torch.isin(x, those))
    same(ours.among(x, those, invert=True), torch.isin(x, those, invert=True))


@pytest.mark.parametrize("keepdim", [False, True])
def test_medians_and_the_smallest(keepdim):
    for x in (
        torch.randn(4, 5),
        torch.randn(5, 4),
        torch.tensor([[1.0, math.nan, 3.0]]),
        torch.randperm(12).view(3, 4),
    ):
        same(ours.median(x, -1, keepdim), tuple(x.median(-1, keepdim)))
    x = torch.randn(4, 5)
    same(ours.from_the_smallest(x, 2, 0, keepdim), tuple(x.kthvalue(2, 0, keepdim)))


def test_the_others():
    x, y = torch.tensor([3e30, 0.0, -1.0, math.inf]), torch.tensor([4e30, 0.0, 2.0, 1.0])
    same(ours.hypotenuse(x, y), torch.hypot(x, y))
    same(ours.chosen(torch.arange(6).view(2, 3), torch.tensor([True, False, True])), torch.tensor([0, 2, 3, 5]))
    same(ours.leaky(y - 2), functional.rrelu(y - 2, training=False))
    assert ours.leaky(y, training=True) is NotImplemented


def test_bounds_that_are_floats():
    assert torch.equal(ours.between(WHOLE, -2.5, 1.5), WHOLE.clamp(-2.5, 1.5))
    assert torch.equal(ours.at_most(WHOLE, 1.5), WHOLE.clamp(max=1.5))
    assert ours.between(WHOLE, -2, 1) is NotImplemented


def test_of_whole_numbers():
    assert torch.equal(ours.not_negative(WHOLE), WHOLE.relu())
    assert torch.equal(ours.mean(WHOLE, 0, dtype=torch.float64), WHOLE.mean(0, dtype=torch.float64))
    assert torch.equal(ours.mean_of_all(WHOLE, dtype=torch.float64), WHOLE.mean(dtype=torch.float64))
    table = WHOLE[:6].view(2, 3)
    assert torch.equal(ours.place_of(torch.argmax)(table, keepdim=True), table.argmax(keepdim=True))
    values, places = ours.sorted_in_place_order(WHOLE, stable=True, descending=True)
    assert torch.equal(values, WHOLE.sort(descending=True).values)
    assert torch.equal(ours.in_place_order(WHOLE, stable=True), WHOLE.argsort(stable=True))
    assert torch.equal(WHOLE[places], values)
    assert ours.not_negative(torch.ones(1)) is NotImplemented
    assert ours.mean(torch.ones(1), 0) is NotImplemented


class Calls(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


FILES = {
    "one less a mask": lambda x: 1.0 - (x > 0).long(),
    "running product": lambda x: x.cumprod(-1),
    "distances": lambda x: torch.cdist(x, x + 1),
    "mean of what falls": lambda x: torch.zeros(5, 4).scatter_reduce(
        0, (x[:, :, 0] > 0).long(), x[:, :, 1], "mean", include_self=False
    ),
    "pool to three": lambda x: functional.adaptive_avg_pool1d(x, 3),
    "largest of three": lambda x: functional.adaptive_max_pool1d(x, 3),
    "members": lambda x: torch.isin((2 * x).long(), torch.tensor([1, 2])),
    "median": lambda x: x.median(-1).values,
}


@pytest.mark.parametrize("name", [pytest.param(each, marks=pytest.mark.slow) for each in FILES])
def test_a_file_of_any_length_has_it(tmp_path, name):
    for package in ("onnxscript", "onnxruntime"):
        pytest.importorskip(package)
    sizes = {0: "B", 2: torch.export.Dim("T", min=4)}
    report = export(Calls(FILES[name]), tmp_path / "m.onnx", torch.randn(2, 4, 6), (sizes,), measure=False)
    assert report.accepted
