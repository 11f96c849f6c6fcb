from __future__ import annotations

import math

import pytest
import torch

from tessera.nn.losses import cosine, huber, l1, log_cosh, mse


@pytest.mark.parametrize("loss", [mse, l1, huber, log_cosh])
@pytest.mark.parametrize("dtype", [torch.bool, torch.int64])
def test_yes_and_no_become_numbers(loss, dtype):
    given, yes = torch.rand(5, 2), torch.rand(5, 2) > 0.5
    assert loss(given, yes.to(dtype)) == loss(given, yes.float())


def test_log_cosh_of_large_errors_does_not_overflow():
    error = torch.tensor([1e4, -1e4], requires_grad=True)
    loss = log_cosh(error, torch.zeros(2))
    torch.testing.assert_close(loss.detach(), torch.tensor(1e4 - math.log(2)))
    torch.testing.assert_close(torch.autograd.grad(loss, error)[0], torch.tensor([0.5, -0.5]))


def test_cosine_of_vectors():
    given = torch.tensor([[3.0, 4.0], [3.0, 4.0], [3.0, 4.0]])
    wanted = torch.tensor([[6.0, 8.0], [-3.0, -4.0], [-4.0, 3.0]])
    torch.testing.assert_close(cosine(given, wanted, reduction="none"), torch.tensor([0.0, 2.0, 1.0]))
