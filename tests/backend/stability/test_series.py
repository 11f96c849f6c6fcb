import mpmath
import pytest
import torch

from tessera.backend.stability import series

WHOLE = {
    "expm1_over": lambda x: mpmath.expm1(x) / x,
    "inverse_expm1_over": lambda x: x / mpmath.expm1(x),
    "inverse_expm1": lambda x: 1 / mpmath.expm1(x),
    "expm1_remainder": lambda x: mpmath.expm1(x) - x,
    "expm1_remainder_over": lambda x: (mpmath.expm1(x) - x) / x**2,
    "sin_over": lambda x: mpmath.sin(x) / x,
    "sin_remainder": lambda x: x - mpmath.sin(x),
    "sin_remainder_over": lambda x: (x - mpmath.sin(x)) / x**3,
    "cos_remainder_over": lambda x: (1 - mpmath.cos(x)) / x**2,
    "sinh_over": lambda x: mpmath.sinh(x) / x,
    "erf_over": lambda x: mpmath.erf(x) / x,
    "tanh_over": lambda x: mpmath.tanh(x) / x,
    "coth_remainder": lambda x: mpmath.coth(x) - 1 / x,
    "inverse_erfcx": lambda x: mpmath.exp(-x * x) / mpmath.erfc(x),
    "log1p_over": lambda x: mpmath.log1p(x) / x,
    "log1p_remainder": lambda x: mpmath.log1p(x) - x,
}
POINTS = (1e-9, -1e-5, 1e-3, -0.1, 0.34, 0.36, -0.49, 0.51, 0.69, 0.71, -0.8, 0.99, 1.01, 2.0, 2.99, 3.01, 5.0)
ULP, ULP_OF_GRADIENT = 8, 128


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("name", WHOLE)
def test_value_and_gradient_on_both_sides_of_the_radius(name, dtype):
    form, whole, epsilon = getattr(series, name), WHOLE[name], torch.finfo(dtype).eps
    x = torch.tensor(POINTS, dtype=dtype, requires_grad=True)
    value = form(x)
    (gradient,) = torch.autograd.grad(value.sum(), x)
    with mpmath.workprec(400):
        step = mpmath.mpf(2) ** -100
        for point, found, slope in zip(x.tolist(), value.tolist(), gradient.tolist(), strict=True):
            wanted = whole(mpmath.mpf(point))
            rise = (whole(mpmath.mpf(point) + step) - whole(mpmath.mpf(point) - step)) / (2 * step)
            assert abs(found - wanted) <= ULP * epsilon * abs(wanted), point
            assert abs(slope - rise) <= ULP_OF_GRADIENT * epsilon * max(abs(rise), 1e-3), point
