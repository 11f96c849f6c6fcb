import pytest
import torch

from tessera.errors import OptimizerError
from tessera.optim import scale_by_radam

PARAM = torch.zeros(4, dtype=torch.float64)


@pytest.mark.parametrize("beta2", [0.9, 0.999, 0.6, 0.5])
def test_it_is_the_equation(beta2):
    """With 0.9 it is rectified from the ninth step on, with 0.6 and less never; 0.6 makes r_inf just 4."""
    beta1, eps = 0.7, 1e-3
    tx = scale_by_radam((beta1, beta2), eps)
    states = [tx.init(PARAM)]
    mean = square = torch.zeros_like(PARAM)
    longest = 2 / (1 - beta2) - 1
    for t, grad in enumerate(torch.randn(15, 4, dtype=torch.float64), start=1):
        (update,), states = tx.update([grad], states, [PARAM])
        mean = beta1 * mean + (1 - beta1) * grad
        square = beta2 * square + (1 - beta2) * grad**2
        expected = mean / (1 - beta1**t)
        length = longest - 2 * t * beta2**t / (1 - beta2**t)
        if length > 5:
            rect = ((length - 4) * (length - 2) * longest / ((longest - 4) * (longest - 2) * length)) ** 0.5
            expected = expected * rect * (1 - beta2**t) ** 0.5 / (square.sqrt() + eps)
        torch.testing.assert_close(update, expected, rtol=1e-11, atol=1e-14)


@pytest.mark.parametrize("arguments", [{"betas": (1.0, 0.9)}, {"eps": -1.0}])
def test_bad_numbers_are_refused(arguments):
    with pytest.raises(OptimizerError):
        scale_by_radam(**arguments)
