from __future__ import annotations

import math

import pytest
import torch

import tessera
from tessera.errors import SettingError

DTYPES = [torch.float32, torch.float64, torch.float16, torch.bfloat16]
N = 200_000


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_uniform_numbers_are_uniform(dtype):
    x = tessera.random.rand(N, dtype=dtype)
    assert x.dtype is dtype
    assert 0 <= x.min() <= x.max() < 1
    x = x.double()
    assert abs(x.mean() - 0.5) < 0.006
    assert abs(x.var() - 1 / 12) < 0.002
    counts = torch.histc(x, 16, 0, 1) / N
    assert (counts - 1 / 16).abs().max() < 0.003


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_normal_numbers_are_normal(dtype):
    x = tessera.random.randn(N, dtype=dtype)
    assert x.dtype is dtype
    x = x.double()
    assert abs(x.mean()) < 0.01
    assert abs(x.var() - 1) < 0.02
    assert abs((x**4).mean() - 3) < 0.15
    for bound in (0.5, 1.0, 2.0):
        assert abs((x.abs() < bound).double().mean() - math.erf(bound / math.sqrt(2))) < 0.005


@pytest.mark.parametrize("p", [0.0, 1e-4, 0.3, 1.0])
def test_a_coin_falls_as_often_as_it_should(p):
    x = tessera.random.bernoulli(p, N)
    assert x.dtype is torch.bool
    assert abs(x.double().mean() - p) < 5 * math.sqrt(p * (1 - p) / N) + 1e-9


def test_sizes_are_torchs():
    for function in (tessera.random.rand, tessera.random.randn, lambda *size: tessera.random.bernoulli(0.5, *size)):
        for size in (((),), (3,), (2, 3), ((2, 3),), ([4, 1],), (torch.Size([2]),), (0,)):
            assert function(*size).shape == torch.zeros(*size).shape


def test_compiled_and_eagerly_they_are_the_same():
    def draw(x):
        a = tessera.random.rand(3, 5), tessera.random.randn(5), tessera.random.bernoulli(0.3, 4, 4)
        return x + tessera.random.rand(x.shape), a, tessera.random.randn(7, dtype=torch.float64).float()

    compiled, x = tessera.compile(draw), torch.zeros(9, 4)
    seen = []
    for function in (draw, compiled):
        torch.manual_seed(0)
        seen.append([torch.utils._pytree.tree_leaves(function(x)) for _ in range(3)] + [[torch.get_rng_state()]])
    for expected, found in zip(*seen, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(expected, found, strict=True))
    assert not torch.equal(seen[0][0][0], seen[0][1][0])
    assert compiled.report.rung == "one graph"


@pytest.mark.parametrize("dtype", [torch.int64, torch.complex64, torch.float8_e4m3fn], ids=str)
def test_a_dtype_without_such_numbers_is_refused(dtype):
    for function in (tessera.random.rand, tessera.random.randn):
        with pytest.raises(SettingError, match=r"of floating point"):
            function(2, dtype=dtype)
