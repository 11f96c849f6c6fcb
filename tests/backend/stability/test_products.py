import math

import mpmath
import pytest
import torch

from tessera.backend.stability import products

INF = math.inf


def test_products_of_any_sign_and_zero():
    x = torch.tensor([[-1.0, -2.0], [-1.0, 2.0], [0.0, 3.0]])
    found = products.log_prod(x, x.abs().log(), (1,)).squeeze(1)
    assert found[0].item() == pytest.approx(math.log(2))
    assert found[1].isnan()
    assert found[2].item() == -INF
    assert products.power_of_prod(x, (1,), 0.5).squeeze(1)[2].item() == 0


def test_a_running_product_of_any_sign():
    x = torch.tensor([2.0, -1.0, -3.0, 0.5])
    found = products.log_cumprod(x, x.abs().log(), 0)
    torch.testing.assert_close(found, torch.tensor([2.0, math.nan, 6.0, 3.0]).log(), equal_nan=True)


@pytest.mark.parametrize("exponent", [12.0, 5.0, -30.0, 0.25, -1.5])
@pytest.mark.parametrize("name", ["power_minus_one", "power_minus_one_over"])
def test_powers_less_one(name, exponent):
    x = torch.tensor([-0.9, -0.3, -1e-9, 1e-12, 1e-3, 0.6, 2.0], dtype=torch.float64, requires_grad=True)
    found = getattr(products, name)(x, exponent)
    (gradient,) = torch.autograd.grad(found.sum(), x)

    def whole(v):
        power = (1 + v) ** mpmath.mpf(exponent) - 1
        return power / v if name.endswith("over") else power

    with mpmath.workprec(400):
        wanted = [float(whole(mpmath.mpf(v))) for v in x.tolist()]
        slopes = [float(mpmath.diff(whole, mpmath.mpf(v))) for v in x.tolist()]
    torch.testing.assert_close(found, torch.tensor(wanted, dtype=torch.float64), rtol=1e-14, atol=0)
    torch.testing.assert_close(gradient, torch.tensor(slopes, dtype=torch.float64), rtol=1e-13, atol=1e-15)
