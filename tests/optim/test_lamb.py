import torch
from torch import nn

from tessera.optim import LAMB


def test_it_is_the_equation():
    lr, (beta1, beta2), eps, wd = 0.05, (0.7, 0.8), 1e-3, 0.1
    params = [nn.Parameter(torch.randn(shape, dtype=torch.float64)) for shape in ((), (3,), (2, 3))]
    optimizer = LAMB(params, lr, (beta1, beta2), eps, wd)
    values = [param.detach().clone() for param in params]
    means = squares = [torch.zeros_like(value) for value in values]
    for t in range(1, 10):
        grads = [torch.randn_like(value) for value in values]
        for param, grad in zip(params, grads, strict=True):
            param.grad = grad
        optimizer.step()
        means = [beta1 * m + (1 - beta1) * g for m, g in zip(means, grads, strict=True)]
        squares = [beta2 * v + (1 - beta2) * g**2 for v, g in zip(squares, grads, strict=True)]
        for index, (mean, square) in enumerate(zip(means, squares, strict=True)):
            way = mean / (1 - beta1**t) / ((square / (1 - beta2**t)).sqrt() + eps) + wd * values[index]
            values[index] = values[index] - lr * values[index].norm() / way.norm() * way
            torch.testing.assert_close(params[index].detach(), values[index], rtol=1e-12, atol=1e-13)


def test_a_parameter_of_zeros_can_leave_zero():
    param = nn.Parameter(torch.zeros(3))
    LAMB([param], lr=0.1).step((param - 1).square().sum())
    torch.testing.assert_close(param.detach(), torch.full((3,), 0.1), rtol=1e-5, atol=0)
