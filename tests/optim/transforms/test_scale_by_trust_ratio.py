import pytest
import torch

from tessera.errors import OptimizerError
from tessera.optim import scale_by_trust_ratio


@pytest.mark.parametrize("shape", [(), (4,), (3, 2), (2, 3, 1, 1)])
def test_it_is_the_equation(shape):
    param, grad = (torch.randn(shape, dtype=torch.float64) for _ in range(2))
    (update,), _ = scale_by_trust_ratio(0.3, 0.1).update([grad], [{}], [param])
    torch.testing.assert_close(update, grad * 0.3 * param.norm() / (grad.norm() + 0.1), rtol=1e-13, atol=0)


def test_nothing_to_measure_by_passes():
    zero, one, empty = torch.zeros(2), torch.ones(2), torch.zeros(0)
    updates, _ = scale_by_trust_ratio().update([one, zero, empty], [{}] * 3, [zero, one, empty])
    assert [u.tolist() for u in updates] == [[1, 1], [0, 0], []]


@pytest.mark.parametrize("arguments", [(-1.0,), (1.0, -1e-3)])
def test_bad_numbers_are_refused(arguments):
    with pytest.raises(OptimizerError):
        scale_by_trust_ratio(*arguments)
