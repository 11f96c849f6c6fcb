from __future__ import annotations

import pytest
import torch
from torch import nn

from tessera.export.executorch_operators import (
    convolution_of_a_body,
    coordinates,
    gelu_by_tanh,
    maximum_in_a_body,
    maximum_over_all,
    reduced_by_comparing,
    rows_of_coordinates,
    scaled_elu,
    sort_by_topk,
)


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("x", [torch.randn(5, 4), torch.randperm(20).view(5, 4)], ids=["floats", "whole numbers"])
def test_a_sort_is_a_topk_of_all(x, descending):
    for dim in (0, -1):
        for ours, torchs in zip(sort_by_topk(x, dim, descending), x.sort(dim, descending), strict=True):
            assert torch.equal(ours, torchs)
    assert sort_by_topk(torch.tensor(1.0)) is NotImplemented


@pytest.mark.parametrize(
    ("pool", "x"),
    [(nn.AdaptiveMaxPool1d, torch.randn(2, 3, 5)), (nn.AdaptiveMaxPool2d, torch.randn(2, 3, 4, 5))],
    ids=["line", "plane"],
)
def test_pooling_to_one_place_is_a_maximum(pool, x):
    size = [1] * (x.ndim - 2)
    for ours, torchs in zip(maximum_over_all(x, size), pool(1, return_indices=True)(x), strict=True):
        assert torch.equal(ours, torchs)
    assert maximum_over_all(x, [2] * len(size)) is NotImplemented


@pytest.mark.parametrize("shape", [(7,), (3, 4), (2, 3, 4), (0, 4)])
def test_places_where_a_condition_holds(shape):
    for x in (torch.rand(shape) > 0.5, torch.randint(-1, 2, shape)):
        for ours, torchs in zip(coordinates(x), torch.where(x), strict=True):
            assert torch.equal(ours, torchs)
        assert torch.equal(rows_of_coordinates(x), x.nonzero())
    assert rows_of_coordinates(torch.tensor(1)) is NotImplemented


def test_activations_whose_arguments_xnnpack_does_not_look_at():
    x = torch.linspace(-8, 8, 101)
    torch.testing.assert_close(gelu_by_tanh(x, approximate="tanh"), nn.functional.gelu(x, approximate="tanh"))
    assert gelu_by_tanh(x) is NotImplemented
    torch.testing.assert_close(scaled_elu(x, 1.6732632423543772, 1.0507009873554805), nn.functional.selu(x))
    torch.testing.assert_close(scaled_elu(x, 2.0, 1, 0.5), nn.functional.celu(x, 2.0))
    assert scaled_elu(x, 0.7) is NotImplemented


@pytest.mark.parametrize(
    "more", [{}, {"stride": 2, "padding": 1}, {"stride": (2, 1, 1), "padding": (0, 1, 1), "dilation": (1, 2, 1)}]
)
def test_bodies_plane_by_plane(more):
    x, weight, bias = torch.randn(2, 4, 7, 8, 9), torch.randn(6, 2, 3, 2, 3), torch.randn(6)
    expected = nn.functional.conv3d(x, weight, bias, groups=2, **more)
    torch.testing.assert_close(convolution_of_a_body(x, weight, bias, groups=2, **more), expected, atol=1e-5, rtol=1e-5)
    for ceil_mode in (False, True):
        expected = nn.functional.max_pool3d(x, (2, 3, 2), ceil_mode=ceil_mode, **more)
        assert torch.equal(maximum_in_a_body(x, (2, 3, 2), ceil_mode=ceil_mode, **more), expected)


@pytest.mark.parametrize("include_self", [True, False])
@pytest.mark.parametrize("reduce", ["sum", "mean", "prod", "amax", "amin"])
def test_reductions_where_numbers_fall(reduce, include_self):
    for dim, shape in ((0, (5, 3)), (-1, (3, 5)), (1, (3, 4, 2))):
        x, src = torch.randn(shape), torch.randn(shape)
        index = torch.randint(0, shape[dim] - 1, shape)
        expected = x.scatter_reduce(dim, index, src, reduce, include_self=include_self)
        torch.testing.assert_close(
            reduced_by_comparing(x, dim, index, src, reduce, include_self=include_self), expected
        )
    assert reduced_by_comparing(torch.randn(2, 9), 0, index[:, :, 0], src[:, :, 0], reduce) is NotImplemented
