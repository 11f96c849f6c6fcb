import pytest
import torch
from torch import nn

from tessera.errors import OptimizerError
from tessera.optim import Optimizer, linear, scale_by_schedule_free


@pytest.mark.parametrize(("warmup", "r", "power"), [(0, 0.0, 2.0), (4, 1.0, 2.0), (3, 0.5, 0.0)])
def test_it_is_the_equation(warmup, r, power):
    """With x, y and z kept, as the paper writes it."""
    lr, beta1, beta2, eps, wd = 0.1, 0.8, 0.9, 1e-3, 0.05
    param = nn.Parameter(torch.randn(4, dtype=torch.float64))
    optimizer = Optimizer([param], scale_by_schedule_free(lr, (beta1, beta2), eps, wd, warmup, r, power))
    x = y = z = param.detach().clone()
    square, largest, total = torch.zeros_like(x), 0.0, 0.0
    for t, grad in enumerate(torch.randn(12, 4, dtype=torch.float64), start=1):
        param.grad = grad
        optimizer.step()
        rate = lr * min(1.0, t / warmup) if warmup else lr
        largest = max(largest, rate)
        weight = t**r * largest**power
        total += weight
        square = beta2 * square + (1 - beta2) * grad**2
        z = z - rate * (grad / ((square / (1 - beta2**t)).sqrt() + eps) + wd * y)
        x = x + weight / total * (z - x)
        y = (1 - beta1) * z + beta1 * x
        torch.testing.assert_close(param.detach(), y, rtol=1e-12, atol=1e-13)
        with optimizer.averaged_weights():
            torch.testing.assert_close(param.detach(), x, rtol=1e-11, atol=1e-12)


def test_a_rate_of_zero_at_first_is_no_division_by_zero():
    param = nn.Parameter(torch.ones(2, dtype=torch.float64))
    optimizer = Optimizer([param], scale_by_schedule_free(linear(0.0, 0.1, 3)))
    optimizer.step(param.square().sum())
    assert torch.equal(param.detach(), torch.ones(2, dtype=torch.float64))
    optimizer.step(param.square().sum())
    assert ((param < 1) & (param > 0.9)).all()


@pytest.mark.parametrize(
    "arguments", [{"betas": (0.0, 0.9)}, {"eps": -1.0}, {"warmup_steps": -1}, {"r": -1.0}, {"weight_lr_power": -1.0}]
)
def test_bad_numbers_are_refused(arguments):
    with pytest.raises(OptimizerError):
        scale_by_schedule_free(**arguments)
