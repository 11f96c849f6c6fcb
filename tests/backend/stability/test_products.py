import math

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
