"""torch's functions under Tessera's name."""

from __future__ import annotations

import pytest
import torch

import tessera

VALUES = torch.tensor([0.25, 0.5, 1.0, 3.0, 100.0, -1.0, 0.0, float("inf"), float("nan")])
SAME = ("exp", "exp2", "log", "log2", "log10", "log1p", "sqrt", "rsqrt", "reciprocal")


@pytest.mark.parametrize("name", SAME)
def test_values_and_gradients_are_those_of_torch(name):
    ours, theirs = VALUES.clone().requires_grad_(), VALUES.clone().requires_grad_()
    mine, reference = getattr(tessera, name)(ours), getattr(torch, name)(theirs)
    mine.sum().backward()
    reference.sum().backward()
    torch.testing.assert_close(mine, reference, rtol=0, atol=0, equal_nan=True)
    torch.testing.assert_close(ours.grad, theirs.grad, rtol=0, atol=0, equal_nan=True)


def test_functions_with_more_arguments_are_torchs_too():
    x, y = VALUES[:5].reshape(1, 5), torch.tensor([2.0])
    pairs = [
        (tessera.div(x, y), torch.div(x, y)),
        (tessera.divide(x, 3, rounding_mode="floor"), torch.div(x, 3, rounding_mode="floor")),
        (tessera.pow(x, 1.5), torch.pow(x, 1.5)),
        (tessera.power(2.0, x), torch.pow(2.0, x)),
        (tessera.softmax(x, -1), torch.softmax(x, -1)),
        (tessera.log_softmax(x, -1, dtype=torch.float64), torch.log_softmax(x, -1, dtype=torch.float64)),
        (tessera.logsumexp(x, (0, 1), keepdim=True), torch.logsumexp(x, (0, 1), keepdim=True)),
    ]
    for mine, reference in pairs:
        assert torch.equal(mine, reference)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64], ids=str)
def test_stable_exp_ends_at_the_largest_number(dtype):
    information = torch.finfo(dtype)
    limit = torch.tensor(information.max, dtype=torch.float64).log().item()
    x = torch.tensor([0.0, 1.0, -1000.0, limit * 0.9, limit * 1.1, 1e4, float("inf")], dtype=dtype, requires_grad=True)
    y = tessera.stable_exp(x)
    y.sum().backward()
    assert torch.equal(y[:4], x[:4].exp())
    assert y.isfinite().all()
    assert (y[4:] > 0.75 * information.max).all()
    assert torch.equal(x.grad[:4], x[:4].exp())
    assert torch.equal(x.grad[4:], torch.zeros(3, dtype=dtype))


def test_stable_exp_of_what_is_no_floating_number():
    assert tessera.stable_exp(torch.tensor([0, 1000])).dtype == torch.float32
    assert tessera.stable_exp(torch.tensor(float("nan"))).isnan()


def test_stable_exp_has_the_gradient_that_it_computes():
    x = torch.linspace(-3, 720, 50, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda v: tessera.stable_exp(v) * (-v).exp(), x)
