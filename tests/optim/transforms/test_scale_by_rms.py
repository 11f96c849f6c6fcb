import pytest
import torch

from tessera.errors import OptimizerError
from tessera.optim import scale_by_rms

PARAM = torch.zeros(4, dtype=torch.float64)


@pytest.mark.parametrize("centered", [False, True])
def test_it_is_the_equation(centered):
    alpha, eps = 0.8, 1e-3
    tx = scale_by_rms(alpha, eps, centered=centered)
    states = [tx.init(PARAM)]
    square = mean = torch.zeros_like(PARAM)
    for grad in torch.randn(8, 4, dtype=torch.float64):
        (update,), states = tx.update([grad], states, [PARAM])
        square = alpha * square + (1 - alpha) * grad**2
        mean = alpha * mean + (1 - alpha) * grad
        root = (square - mean**2 if centered else square).sqrt()
        torch.testing.assert_close(update, grad / (root + eps), rtol=1e-13, atol=1e-15)
    assert states[0]["step"].item() == 8
    assert set(states[0]) == {"step", "square_avg"} | ({"grad_avg"} if centered else set())


@pytest.mark.parametrize("arguments", [{"alpha": -0.1}, {"eps": float("nan")}])
def test_bad_numbers_are_refused(arguments):
    with pytest.raises(OptimizerError):
        scale_by_rms(**arguments)
