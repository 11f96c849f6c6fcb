from __future__ import annotations

import math

import torch

import tessera


def numbers(x, k):
    return x * k, -k, (k + 0.1) + 0.2, k * 3 / 3, k > 0, (k + 0.1) + 0.2 > 0.3, math.sqrt(k), k - 1.0 + 1e-17


def alone(x, k):
    return k + 0.1 + 0.2, x.shape[0] * k


def beside(x, k):
    return k - k, float(x.sum()) + k, x + (-k)


def test_numbers_are_those_of_python_to_the_last_bit_and_new_ones_compile_nothing():
    for function in (numbers, alone):
        f, x = tessera.compile(function), torch.ones(2)
        for k in (1.0, 3.0, 0.0, 0.1, 0.7, 1e-30, 12345.678):
            expected, found = function(x, k), f(x, k)
            assert list(map(repr, found)) == list(map(repr, expected)), k
        assert len(f.report.compilations) <= 2
        assert not f.report.step_downs


def test_numbers_that_a_tensor_decides_are_left_where_they_are():
    f, x = tessera.compile(beside), torch.arange(3.0)
    for k in (1.0, 3.0, 0.5):
        expected, found = beside(x, k), f(x, k)
        assert found[:2] == expected[:2]
        assert torch.equal(found[2], expected[2])
