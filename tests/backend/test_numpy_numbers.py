"""The dtypes of tensors and NumPy's own numbers."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

import tessera
from tessera.backend.mistraced import NUMPY_OVERFLOWS, NUMPY_PROMOTES

NUMBERS = (np.float64(2.5), np.float32(1.5), np.int64(3), np.int8(-2), np.bool_(True))
TENSORS = (torch.ones(2, dtype=torch.int32), torch.tensor([True, False]), torch.ones(2), torch.ones(2).half())


@pytest.mark.slow
def test_every_pair_is_of_eagers_dtype():
    def f(x, k):
        return x * k, k + x

    compiled = tessera.compile(f)
    for x, k in itertools.product(TENSORS, NUMBERS):
        expected = f(x, k)
        for found, one in zip(compiled(x, k), expected, strict=True):
            torch.testing.assert_close(found, one)


def test_a_float_beside_whole_numbers_runs_as_plain_python():
    compiled = tessera.compile(lambda x, k: x * k)
    assert compiled(torch.ones(2, dtype=torch.int32), np.float64(2.5)).dtype is torch.float32
    assert compiled.report.step_downs[0].reason == NUMPY_PROMOTES


def test_a_float_beside_floats_is_captured():
    compiled = tessera.compile(lambda x, k: x * k)
    assert compiled(torch.ones(2), np.float64(2.5)).tolist() == [2.5, 2.5]
    assert compiled.report.rung == "one graph"


def test_whole_numbers_that_overflow_are_warned_of():
    compiled = tessera.compile(lambda x, k: x * float(x.shape[0]) + (k * 2 > 0))
    for _ in range(2):
        with pytest.warns(RuntimeWarning, match="overflow"):
            compiled(torch.ones(2), np.int8(100))
    assert NUMPY_OVERFLOWS in [entry.reason for entry in compiled.report.step_downs]


def test_floats_beside_floats_are_captured():
    compiled = tessera.compile(lambda x, k: x * (1 / k))
    assert compiled(torch.ones(2), np.float64(2.0)).tolist() == [0.5, 0.5]
    assert compiled.report.rung == "one graph"
