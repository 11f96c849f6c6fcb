"""Activations: dynamic and static, within half a step, and NaN is never lost where the scale follows the data."""

from __future__ import annotations

import pytest
import torch

from tessera.quantize.activation import ActivationQuantizer
from tessera.quantize.formats import ACTIVATION_FORMATS, FORMATS

INTEGERS = ("int8", "int4")


@pytest.mark.parametrize("name", INTEGERS)
@pytest.mark.parametrize("size", [1e-30, 1.0, 1e30])
def test_dynamic_is_within_half_a_step_of_each_row(name, size):
    x = torch.randn(5, 3, 17) * size
    found = ActivationQuantizer(FORMATS[name], None)(x)
    step = x.abs().amax(-1, keepdim=True) / FORMATS[name].largest
    assert ((found - x).abs() <= step * 0.5001).all()


@pytest.mark.parametrize("name", INTEGERS)
@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("limits", [(-2.0, 6.0), (1.0, 6.0), (-3.0, -1.0), (0.0, 0.0)])
def test_static_is_within_half_a_step_inside_of_its_range(name, symmetric, limits):
    quantizer = ActivationQuantizer(FORMATS[name], limits, symmetric=symmetric)
    x = torch.linspace(*limits, 501)
    found = quantizer(x)
    assert ((found - x).abs() <= quantizer.scale * 0.5001).all()
    assert quantizer(torch.zeros(1)) == 0


def test_static_cuts_off_what_lies_outside():
    quantizer = ActivationQuantizer(FORMATS["int8"], (-1.0, 1.0), symmetric=True)
    assert quantizer(torch.tensor([5.0, -5.0])).tolist() == pytest.approx([1.0, -1.0], rel=1e-6)


def test_one_sample_does_not_depend_on_another():
    quantizer, x = ActivationQuantizer(FORMATS["int8"], None), torch.randn(4, 8)
    louder = torch.cat([x, 1000 * x])
    assert torch.equal(quantizer(louder)[:4], quantizer(x))


@pytest.mark.parametrize("name", ACTIVATION_FORMATS)
@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_row_that_is_not_finite_stays_so(name, bad):
    x = torch.randn(3, 8)
    x[1, 2] = bad
    found = ActivationQuantizer(FORMATS[name], None)(x)
    assert not found[1].isfinite().any()
    assert found[[0, 2]].isfinite().all()


def test_zeros_stay_zeros():
    assert not ActivationQuantizer(FORMATS["int8"], None)(torch.zeros(2, 4)).any()


def test_gradient_goes_straight_through():
    x = torch.randn(3, 4, requires_grad=True)
    ActivationQuantizer(FORMATS["int4"], None)(x).sum().backward()
    assert torch.equal(x.grad, torch.ones(3, 4))


def test_state_is_restored():
    first = ActivationQuantizer(FORMATS["int8"], (-1.0, 5.0), symmetric=False)
    second = ActivationQuantizer(FORMATS["int8"], (-3.0, 3.0), symmetric=False)
    second.load_state_dict(first.state_dict())
    assert (second.scale, second.zero_point) == (first.scale, first.zero_point)
