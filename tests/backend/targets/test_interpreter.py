"""Emitted kernels in Triton's interpreter beside eager."""

from __future__ import annotations

import pytest
import torch

from tessera.backend.targets.check import check_program
from tessera.capture.emit import captured
from tests.backend.targets.needs_triton import needs_triton
from tests.backend.targets.steps import MODELS, step_of

pytestmark = needs_triton


def computations(a, b, image, filters, places, values):
    """Functions of an element, sums, a convolution that is laid out anew, a scatter whose places repeat."""
    x = torch.special.expit(a) + torch.erf(b) + torch.tanh(a) + torch.log1p(b.abs()) + torch.rsqrt(a * a + 1)
    y = torch.where(torch.isnan(a / 0), b, torch.floor(a) ** 2), torch.atan2(a, b).sum(0), torch.softmax(a, 1)
    table = torch.zeros(5, 4).index_put((places,), values, accumulate=True)
    return x, *y, torch.conv2d(image, filters, padding=1).relu().mean((2, 3)), table.softmax(-1)


def test_computations_beside_eager():
    inputs = [torch.randn(9, 33), torch.randn(9, 33), torch.randn(2, 3, 8, 8), torch.randn(4, 3, 3, 3)]
    inputs += [torch.randint(0, 5, (2, 7)), torch.randn(2, 7, 4)]
    assert check_program(*captured(computations, *inputs), "h200") < 1e-5


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(MODELS))
def test_steps_of_five_models(name):
    step, batch = step_of(name)
    assert check_program(*captured(step, *batch), "h200") < 1e-3
