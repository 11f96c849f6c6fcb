import pytest
import torch

from tessera.errors import OptimizerError
from tessera.optim import scale_by_adadelta


def test_it_is_the_equation():
    param = torch.zeros(4, dtype=torch.float64)
    tx = scale_by_adadelta(0.7, 1e-3)
    states = [tx.init(param)]
    square = moved = torch.zeros_like(param)
    for grad in torch.randn(8, 4, dtype=torch.float64):
        (update,), states = tx.update([grad], states, [param])
        square = 0.7 * square + 0.3 * grad**2
        expected = ((moved + 1e-3) / (square + 1e-3)).sqrt() * grad
        moved = 0.7 * moved + 0.3 * expected**2
        torch.testing.assert_close(update, expected, rtol=1e-12, atol=0)


@pytest.mark.parametrize("arguments", [{"rho": 1.0}, {"rho": -0.1}, {"eps": -1.0}])
def test_bad_numbers_are_refused(arguments):
    with pytest.raises(OptimizerError):
        scale_by_adadelta(**arguments)
