import pytest
import torch

from tessera.errors import OptimizerError
from tessera.optim import scale_by_adam

PARAM = torch.zeros(4, dtype=torch.float64)


@pytest.mark.parametrize("amsgrad", [False, True])
def test_it_is_the_equation(amsgrad):
    beta1, beta2, eps = 0.7, 0.8, 1e-3
    tx = scale_by_adam((beta1, beta2), eps, amsgrad=amsgrad)
    states = [tx.init(PARAM)]
    mean = square = largest = torch.zeros_like(PARAM)
    for t, grad in enumerate(torch.randn(8, 4, dtype=torch.float64), start=1):
        (update,), states = tx.update([grad], states, [PARAM])
        mean = beta1 * mean + (1 - beta1) * grad
        square = beta2 * square + (1 - beta2) * grad**2
        largest = torch.maximum(largest, square)
        root = ((largest if amsgrad else square) / (1 - beta2**t)).sqrt()
        expected = mean / (1 - beta1**t) / (root + eps)
        torch.testing.assert_close(update, expected, rtol=1e-13, atol=1e-15)
    assert states[0]["step"].item() == 8
    assert set(states[0]) == {"step", "exp_avg", "exp_avg_sq"} | ({"max_exp_avg_sq"} if amsgrad else set())


def test_bias_corrections_are_computed_in_double():
    """In float32, 1 - 0.999 is already wrong in its fifth digit."""
    grad = torch.tensor([1e-3])
    tx = scale_by_adam((0.9, 0.999), eps=0.0)
    (update,), _ = tx.update([grad], [tx.init(grad)], [grad])
    assert update.item() == pytest.approx(1.0, abs=2e-7)


def test_a_gradient_of_zero_moves_nothing():
    zero = torch.zeros(2)
    tx = scale_by_adam()
    (update,), _ = tx.update([zero], [tx.init(zero)], [zero])
    assert torch.equal(update, zero)


@pytest.mark.parametrize("arguments", [{"betas": (1.0, 0.9)}, {"betas": (0.9, -0.1)}, {"eps": -1.0}])
def test_bad_numbers_are_refused(arguments):
    with pytest.raises(OptimizerError):
        scale_by_adam(**arguments)
