"""AWQ: never worse than rounding on its data, and better where few channels are loud."""

from __future__ import annotations

import torch

from tessera.quantize.formats import FORMATS
from tessera.quantize.methods.awq import awq
from tessera.quantize.quantized_tensor import Layout, quantize_tensor


def rounded(weight):
    return quantize_tensor(weight, FORMATS["int4"], Layout("group", 16)).dequantize()


def lost(weight, factors, x):
    return ((rounded(weight * factors) / factors - weight) @ x.T).norm().item()


def test_loud_channels_lose_less():
    weight, x = torch.randn(32, 64), torch.randn(300, 64)
    x[:, ::16] *= 50
    factors = awq(weight, x.abs().mean(0), x.T @ x, rounded)
    assert lost(weight, factors, x) < 0.8 * lost(weight, torch.ones(64), x)


def test_is_never_worse_than_rounding():
    for _ in range(5):
        weight, x = torch.randn(8, 32), torch.randn(100, 32)
        assert (
            lost(weight, awq(weight, x.abs().mean(0), x.T @ x, rounded), x) <= lost(weight, torch.ones(32), x) * 1.0001
        )


def test_silent_inputs_change_nothing():
    assert torch.equal(awq(torch.randn(4, 8), torch.zeros(8), torch.zeros(8, 8), rounded), torch.ones(8))
