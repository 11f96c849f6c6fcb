import pytest
import torch

from tessera.errors import OptimizerError
from tessera.optim import scale_by_nadam

PARAM = torch.zeros(4, dtype=torch.float64)


def test_it_is_the_equation():
    beta1, beta2, eps, decay = 0.7, 0.8, 1e-3, 0.05
    tx = scale_by_nadam((beta1, beta2), eps, decay)
    states = [tx.init(PARAM)]
    mean = square = torch.zeros_like(PARAM)
    product = torch.ones(())
    for t, grad in enumerate(torch.randn(8, 4, dtype=torch.float64), start=1):
        (update,), states = tx.update([grad], states, [PARAM])
        weight, following = (beta1 * (1 - 0.5 * 0.96 ** (number * decay)) for number in (t, t + 1))
        product = product * weight  # float32, as the state
        mean = beta1 * mean + (1 - beta1) * grad
        square = beta2 * square + (1 - beta2) * grad**2
        ahead = following * mean / (1 - product.item() * following) + (1 - weight) * grad / (1 - product.item())
        expected = ahead / ((square / (1 - beta2**t)).sqrt() + eps)
        torch.testing.assert_close(update, expected, rtol=1e-12, atol=1e-14)
    assert set(states[0]) == {"step", "mu_product", "exp_avg", "exp_avg_sq"}


@pytest.mark.parametrize("arguments", [{"betas": (1.0, 0.9)}, {"eps": -1.0}, {"momentum_decay": -0.1}])
def test_bad_numbers_are_refused(arguments):
    with pytest.raises(OptimizerError):
        scale_by_nadam(**arguments)
