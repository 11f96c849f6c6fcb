import mpmath
import pytest
import torch

from tessera.backend.stability import tails

WHOLE = {
    "log_erfc": lambda x: mpmath.log(mpmath.erfc(x)),
    "log_one_minus_exp_of_exp": lambda x: mpmath.log(-mpmath.expm1(-mpmath.exp(x))),
    "log_i0": lambda x: mpmath.log(mpmath.besseli(0, x)),
}

POINTS = {
    "log_erfc": [-30.0, -2.0, 0.25, 0.49, 0.51, 3.0, 7.9, 8.1, 30.0],
    "log_one_minus_exp_of_exp": [-300.0, -20.0, -0.5, 0.5, 2.0],
    "log_i0": [-30.0, -2.0, 1.5, 3.0, 7.9, 8.1, 30.0],
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("name", WHOLE)
def test_value_and_gradient_on_both_sides_of_what_is_chosen(name, dtype):
    x = torch.tensor(POINTS[name], dtype=dtype, requires_grad=True)
    value = getattr(tails, name)(x)
    (gradient,) = torch.autograd.grad(value.sum(), x)
    with mpmath.workprec(3000):
        wanted = [WHOLE[name](mpmath.mpf(v)) for v in x.tolist()]
        slopes = [mpmath.diff(WHOLE[name], mpmath.mpf(v)) for v in x.tolist()]
    eps = torch.finfo(dtype).eps
    torch.testing.assert_close(value, torch.tensor([float(v) for v in wanted], dtype=dtype), rtol=16 * eps, atol=1e-30)
    torch.testing.assert_close(
        gradient, torch.tensor([float(v) for v in slopes], dtype=dtype), rtol=64 * eps, atol=1e-30
    )


def test_the_logarithm_of_a_power_is_that_of_torch_below_0():
    x, y = torch.tensor([-2.0, -2.0, 0.0, 3.0, 1e30]), torch.tensor([2.0, 3.0, 0.0, 2.0, 4.0])
    found = tails.log_power(x, y)
    torch.testing.assert_close(found[:4], torch.log(x[:4] ** y[:4]), equal_nan=True)
    assert found[4].item() == pytest.approx(4 * 30 * 2.302585)
