import pytest
import torch

from tessera.errors import OptimizerError
from tessera.optim import clip_adaptively


@pytest.mark.parametrize("shape", [(), (5,), (4, 3), (4, 3, 2, 2), (2, 0)])
def test_it_is_the_equation(shape):
    for _ in range(20):
        param, grad = (torch.randn(shape, dtype=torch.float64) for _ in range(2))
        (update,), _ = clip_adaptively(0.7, 1e-2).update([grad], [{}], [param])
        units = zip(param, grad, update, strict=True) if len(shape) > 1 else [(param, grad, update)]
        for weights, gradient, clipped in units:
            length = gradient.norm()
            factor = min(1.0, 0.7 * max(float(weights.norm()), 1e-2) / float(length)) if length else 1.0
            torch.testing.assert_close(clipped, gradient * factor, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("arguments", [(-1.0,), (0.1, -1e-3)])
def test_bad_numbers_are_refused(arguments):
    with pytest.raises(OptimizerError):
        clip_adaptively(*arguments)
