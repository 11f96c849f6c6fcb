import pytest
import torch

from tessera.errors import OptimizerError
from tessera.optim import scale_by_lion

PARAM = torch.zeros(4, dtype=torch.float64)


def test_it_is_the_equation():
    tx = scale_by_lion((0.8, 0.95))
    states = [tx.init(PARAM)]
    mean = torch.zeros_like(PARAM)
    for grad in torch.randn(8, 4, dtype=torch.float64):
        (update,), states = tx.update([grad], states, [PARAM])
        assert torch.equal(update, torch.sign(0.8 * mean + (1 - 0.8) * grad))
        mean = 0.95 * mean + (1 - 0.95) * grad
    torch.testing.assert_close(states[0]["exp_avg"], mean, rtol=1e-14, atol=0)


def test_bad_betas_are_refused():
    with pytest.raises(OptimizerError, match=r"betas\[0\]=1\.0 was passed"):
        scale_by_lion((1.0, 0.99))
