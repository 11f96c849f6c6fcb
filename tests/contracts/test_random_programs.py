"""Random functions and random training jobs, compiled, against the same in eager PyTorch."""

import warnings

import pytest
import torch

import tessera
from tests.contracts.against_eager import assert_trains_like_eager
from tests.contracts.random_models import random_job
from tests.contracts.random_tensors import RandomFunction, differences


@pytest.fixture(autouse=True)
def torchs_own_warnings():
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "`torch._prims_common.check` is deprecated")  # Inductor's, of unfold
        yield


@pytest.mark.parametrize(("seed", "gradients"), [(2, True)])
def test_a_random_function_is_as_eager(seed, gradients):
    assert not differences(RandomFunction(seed, 5, writes=not gradients), gradients)


@pytest.mark.slow
@pytest.mark.parametrize("gradients", [False, True])
@pytest.mark.parametrize("length", [2, 3, 5, 8])
@pytest.mark.parametrize("seed", range(10))
def test_random_functions_are_as_eager(seed, length, gradients):
    assert not differences(RandomFunction(100 * length + seed, length, writes=not gradients), gradients)


def test_a_random_job_trains_as_eager():
    assert_trains_like_eager(random_job(3))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10, 50))
def test_random_jobs_train_as_eager(seed):
    assert_trains_like_eager(random_job(seed))


def test_a_sum_over_one_row_has_no_dimensions():
    """Inductor computes it in memory of another shape, which it returns as a scalar."""
    compiled = tessera.compile(lambda x: torch.log_softmax(x, -1).sum())
    x = torch.randn(1, 5)
    torch.testing.assert_close(compiled(x), torch.log_softmax(x, -1).sum())


def test_a_difference_is_found():
    class Wrong(RandomFunction):
        def __call__(self, a, b):
            scale = 2 if torch.compiler.is_compiling() else 1
            return [value * scale for value in super().__call__(a, b)]

    assert differences(Wrong(1, 3, writes=False), gradients=False)
