import pytest
import torch
from torch import nn

from tessera.optim import LARS


@pytest.mark.parametrize("nesterov", [False, True])
def test_it_is_the_equation(nesterov):
    lr, momentum, wd, trust, eps = 0.5, 0.8, 0.1, 0.01, 1e-3
    param = nn.Parameter(torch.randn(2, 3, dtype=torch.float64))
    optimizer = LARS([param], lr, momentum, wd, trust, eps, nesterov)
    value, buffer = param.detach().clone(), torch.zeros(2, 3, dtype=torch.float64)
    for number in range(10):
        grad = torch.randn(2, 3, dtype=torch.float64)
        param.grad = grad
        if number == 5:  # the rate is inside the momentum: a change reaches past steps no more
            lr = optimizer.param_groups[0]["lr"] = 0.1
        optimizer.step()
        decayed = grad + wd * value
        scaled = lr * trust * value.norm() / (decayed.norm() + eps) * decayed
        buffer = momentum * buffer + scaled
        value = value - (scaled + momentum * buffer if nesterov else buffer)
        torch.testing.assert_close(param.detach(), value, rtol=1e-12, atol=1e-13)
